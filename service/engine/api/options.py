"""Limits of the engine, chosen once at the start."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Literal

from service.kernel.api.packing import Precision

SLICE_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """A sequence is one choice of a generation, one scored text, or one worker of a search.

    ``rows``: sequences that run at the same time, per language model. ``waiting``: sequences
    of one client that may wait for a row, per language model, and texts that may wait, per
    classifier (of all clients together: see :mod:`service.engine.scheduling.admission`).
    ``kernel`` and ``precision``: see :mod:`service.kernel.factory`. ``threads``: of the matrix
    products. ``burst_steps``: steps per turn, at most. ``slice_steps``: steps that a sequence keeps
    its row at least, before another that has the same right to it may have it.
    ``prompt_tokens``: the longest prompt or scored text. ``answer_logprobs``: the most
    log-probabilities in one answer, alternatives included.
    ``state_cache_bytes``: of the states kept, per language model. ``state_key``: signs portable
    states; without one they end with the process. ``bind_states_to_keys``: only the tenant that a
    state was given to may bring it. ``classifier_tokens``: longer texts
    are cut (``Classification.truncated``). ``classifier_batch_tokens``: tokens, padding
    included, that are classified together. ``classifier_slice_tokens``: of these, how many are
    worked on between two steps of the language models. ``search_rows``: workers of a search.
    ``search_expansions``: texts that one search follows, at most.
    """

    rows: int = 64
    waiting: int = 256
    kernel: Literal["native", "torch"] = "torch"
    precision: Precision = "int8"
    threads: int = 2
    burst_steps: int = 8
    slice_steps: int = SLICE_STEPS
    prompt_tokens: int = 100_000
    answer_logprobs: int = 1 << 18
    state_cache_bytes: int = 64 * 2**20
    state_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    bind_states_to_keys: bool = False
    classifier_tokens: int = 4096
    classifier_batch_tokens: int = 4096
    classifier_slice_tokens: int = 512
    search_rows: int = 8
    search_expansions: int = 1024
