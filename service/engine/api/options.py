"""The options of the engine, fixed at start."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

from service.kernel.api.packing import KernelPrecision

SLICE_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """A sequence is one choice of a generation, one scored text, or one worker of a search.

    ``rows``: sequences that run at the same time, per language model. ``waiting``: sequences of one
    client that may wait for a row, per language model, and texts that may wait, per classifier.
    :mod:`service.engine.scheduling.admission` has the limit of all clients together. ``kernel`` and
    ``precision``: see :mod:`service.kernel.factory`. ``threads``: of the matrix products.
    ``burst_steps``: most steps per turn. ``slice_steps``: steps that a sequence keeps its row
    before a sequence of equal priority may get it. ``prompt_tokens``: the longest prompt or scored
    text. ``answer_logprobs``: the most log-probabilities in one answer, alternatives included.
    ``state_cache_bytes``: memory of the prefix cache, per language model. ``state_key``: signs
    state tokens; the random default makes them invalid after the process ends.
    ``bind_states_to_keys``: a state token is valid only for the tenant that got it.
    ``classifier_tokens``: longer texts are truncated (``Classification.truncated``).
    ``classifier_batch_tokens``: tokens of a classifier batch, padding included.
    ``classifier_slice_tokens``: tokens of it that are processed between two steps of the language
    models. ``search_rows``: workers of a search. ``search_expansions``: most nodes that one search
    expands. ``pattern_bytes``: the longest regular expression, or choices in all.
    ``pattern_seconds``: time to compile a constraint. ``constraint_bytes``: memory of compiled
    constraints, per language model.
    """

    rows: int = 64
    waiting: int = 256
    kernel: Literal["native", "torch"] = "torch"
    precision: KernelPrecision = "int8"
    threads: int = 2
    burst_steps: int = 32
    slice_steps: int = SLICE_STEPS
    prompt_tokens: int = 100_000
    answer_logprobs: int = 1 << 18
    state_cache_bytes: int = 16 * 2**20
    state_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    bind_states_to_keys: bool = False
    classifier_tokens: int = 4096
    classifier_batch_tokens: int = 4096
    classifier_slice_tokens: int = 512
    search_rows: int = 8
    search_expansions: int = 1024
    pattern_bytes: int = 16_384
    pattern_seconds: float = 5.0
    constraint_bytes: int = 64 * 2**20
