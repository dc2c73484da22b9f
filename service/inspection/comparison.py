"""Two states compared, and continuations of a text compared after each of its tokens.

Shapes: T steps, L layers, H hidden, V vocabulary, B rows, C tokens of a continuation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.memory.divergence import jensen_shannon, relative_distance
from model.networks import LanguageModel
from model.state import State
from service.inspection.activations import (
    LayerActivations,
    read_tokens,
    states_at,
)
from service.inspection.cancellation import Cancellation
from service.inspection.queries import Signal

FORGOTTEN = 0.1  # of the first distance


@dataclass(frozen=True, slots=True)
class UnitDifference:
    """One unit in two states."""

    layer: int
    unit: int
    signal: Signal
    first: float
    second: float


@dataclass(frozen=True, slots=True)
class Divergence:
    """How far two networks are apart that read the same tokens from different states.

    ``distance_TL``: of the hidden states of each layer, Euclidean, relative to their mean length;
    ``divergence_T``: of the predictions, Jensen and Shannon's, in bits (from 0 to 1). Both begin
    before the first common token. ``lasts``: the first step at which the distance of every layer
    is below a tenth of the first one and stays there; None where it never is.
    """

    distance_TL: Tensor
    divergence_T: Tensor
    lasts: int | None


def largest_differences(first: State, second: State, count: int) -> list[UnitDifference]:
    """The units that differ most, by the absolute difference, the largest first."""
    found = []
    signals: list[tuple[Signal, Tensor | None, Tensor | None]] = [
        ("hidden", first.hidden_LBH, second.hidden_LBH),
        ("cell", first.cell_LBH, second.cell_LBH),
    ]
    for signal, one_LBH, other_LBH in signals:
        if one_LBH is None or other_LBH is None:
            continue
        difference_N = (one_LBH - other_LBH).abs().flatten()
        for index in difference_N.topk(min(count, len(difference_N))).indices.tolist():
            layer, unit = divmod(index, one_LBH.shape[2])
            values = float(one_LBH[layer, 0, unit]), float(other_LBH[layer, 0, unit])
            found.append(UnitDifference(layer, unit, signal, *values))
    found.sort(key=lambda unit: -abs(unit.first - unit.second))
    return found[:count]


@torch.no_grad()
def diverge(
    network: LanguageModel,
    first: State,
    second: State,
    common_T: Tensor,
    cancellation: Cancellation,
) -> Divergence:
    """Both states go on with the same tokens, of which there may be none.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    hidden = []
    for state in (first, second):
        hidden_TLH = state.hidden_LBH[:, 0].unsqueeze(0)
        if len(common_T):
            layers = read_tokens(network, common_T, state, cancellation)
            after_TLH = torch.stack([layer.hidden_TH for layer in layers], dim=1)
            hidden_TLH = torch.cat([hidden_TLH, after_TLH])
        hidden.append(hidden_TLH)
    one_TLH, other_TLH = hidden
    distance_TL = relative_distance(one_TLH, other_TLH)
    divergence_T = torch.cat(
        [
            jensen_shannon(network.logits(one_TLH[t, -1:]), network.logits(other_TLH[t, -1:]))
            for t in range(len(one_TLH))
        ]
    )
    return Divergence(distance_TL, divergence_T, _forgotten_after(distance_TL))


def _forgotten_after(distance_TL: Tensor) -> int | None:
    near_T = (distance_TL <= FORGOTTEN * distance_TL[0]).all(dim=1)
    far = (~near_T).nonzero()
    after = int(far[-1]) + 1 if len(far) else 0
    return after if after < len(near_T) else None


@torch.no_grad()
def continuation_logprobs(
    network: LanguageModel,
    layers: Sequence[LayerActivations],
    continuation: Sequence[int],
    cancellation: Cancellation,
) -> Tensor:
    """The log-probability (T,) of a continuation after each step of a text.

    All positions are rows of one batch that reads the continuation token by token.

    Args:
        network: the language model.
        layers: its activations along the text, one step or more.
        continuation: token ids, at least one.
        cancellation: checked before each token.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    steps = len(layers[-1].hidden_TH)
    state = states_at(layers, range(steps))
    hidden_TH = layers[-1].hidden_TH
    total_T = torch.zeros(steps)
    for index, token in enumerate(continuation):
        cancellation.check()
        logprobs_TV = network.logits(hidden_TH).log_softmax(dim=1)
        total_T += logprobs_TV[:, token]
        if index + 1 < len(continuation):
            encoded = network.encode(torch.full((1, steps), token), state)
            state, hidden_TH = encoded.state, encoded.raw_TBH[0]
    return total_T
