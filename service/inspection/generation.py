"""Text generated while units are clamped, with the random numbers of ``POST /generate``.

The same seed gives the same random numbers with and without clamped units, so that the effect of
the units can be read in the two texts.

Shapes: L layers, H hidden, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from model.networks import LanguageModel
from model.recurrent import layer_weights
from model.state import State
from service.inspection.activations import gate_values, next_state
from service.inspection.cancellation import Cancellation
from service.inspection.queries import Clamp
from service.kernel.api.interface import Sampling
from service.kernel.pytorch.sampler import Sampler, SamplerRequest


class ClampedToken(NamedTuple):
    """A sampled token, its log-probability and the likeliest tokens with theirs."""

    token: int
    logprob: float
    top: list[tuple[int, float]]


@torch.no_grad()
def generate(
    network: LanguageModel,
    sampler: Sampler,
    last: int,
    state: State,
    sampling: Sampling,
    max_tokens: int,
    cancellation: Cancellation,
    clamps: Sequence[Clamp] = (),
) -> Iterator[ClampedToken]:
    """Yields tokens until [END], which is the last one, or ``max_tokens``.

    Args:
        network: the language model.
        sampler: for its vocabulary; the likeliest tokens are those that ``sampling`` asks for.
        last: the token that is read first.
        state: of one row, before ``last`` is read.
        sampling: as for the kernels; a repetition penalty counts the sampled tokens alone.
        max_tokens: at least one.
        cancellation: checked before each token.
        clamps: units that are held at a value from the first step on.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    end = network.architecture.vocabulary - 1
    seen: set[int] = set()
    for position in range(max_tokens):
        cancellation.check()
        hidden_1H, state = step(network, last, state, clamps)
        request = SamplerRequest(sampling, position, seen=seen, sample=True)
        scored = sampler.answer(network.logits(hidden_1H).numpy(), [request])[0].generated
        assert scored is not None, "a token was asked for"
        last = scored.token
        seen.add(last)
        yield ClampedToken(last, scored.logprob, list(scored.top))
        if last == end:
            return


def step(
    network: LanguageModel, token: int, state: State, clamps: Sequence[Clamp]
) -> tuple[Tensor, State]:
    """The last layer's hidden state (1, H) and the state after one token."""
    architecture = network.architecture
    values_1F = network.embedding(torch.tensor([token]))
    after = []
    for layer in range(architecture.layers):
        weights = layer_weights(network.recurrent, architecture.cell, layer)
        before = state.layer(layer)
        hidden_1H = before.hidden_LBH[0]
        cell_1H = None if before.cell_LBH is None else before.cell_LBH[0]
        gates = gate_values(weights, values_1F, hidden_1H)
        held = [clamp for clamp in clamps if clamp.layer == layer]
        values_1F, cell_1H = next_state(architecture.cell, gates, hidden_1H, cell_1H, held)
        cell_11H = None if cell_1H is None else cell_1H.unsqueeze(0)
        after.append(State(values_1F.unsqueeze(0), cell_11H))
    return values_1F, State.stack(after)
