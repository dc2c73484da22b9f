"""How much of the past a network uses: the loss given the last n tokens, less that given all.

Khandelwal et al. (2018). Every excerpt ends in one token that is predicted, once for each n, from
[END] and the n tokens before it; "all" is the longest n. As it is the same token every time, the
differences are far more certain than the losses. Shape suffix: B rows. Knows no training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.analysis.excerpts import Excerpts
from training.analysis.networks import InspectedNetwork, hidden_states

ROWS = 64  # read at a time
STEPS = (1, 1.5, 2, 3, 5, 7)  # of each power of ten


@dataclass(frozen=True, slots=True)
class Context:
    """For each number of tokens the loss in nats, what it lacks, and the standard error of that."""

    tokens: list[int]
    losses: list[float]
    excesses: list[float]
    errors: list[float]

    def needed(self, excess: float) -> int:
        """The fewest tokens from which on the loss stays within ``excess`` of the last."""
        enough = self.tokens[-1]
        for tokens, value in zip(reversed(self.tokens), reversed(self.excesses), strict=True):
            if value > excess:
                break
            enough = tokens
        return enough


def context_lengths(longest: int) -> list[int]:
    """1, 2, 3, 5, 7, 10, 15, ... and the longest."""
    lengths = {int(step * 10**power) for power in range(9) for step in STEPS}
    return sorted({length for length in lengths if length < longest} | {longest})


@torch.no_grad()
def effective_context(
    network: InspectedNetwork, excerpts: Excerpts, on_progress: Callable[[float], None]
) -> Context:
    """From excerpts of one token more than the longest context; told the share that is read."""
    lengths = context_lengths(len(excerpts.inputs_TB) - 1)
    total, read, losses = sum(lengths), 0, list[Tensor]()
    for length in lengths:
        losses.append(_final_losses(network, excerpts.last(length + 1)).double())
        read += length
        on_progress(read / total)
    differences = [losses_B - losses[-1] for losses_B in losses]
    rows = max(2, len(losses[-1]))
    return Context(
        lengths,
        [float(losses_B.mean()) for losses_B in losses],
        [float(difference_B.mean()) for difference_B in differences],
        [float(d_B.std(correction=0)) / (rows - 1) ** 0.5 for d_B in differences],
    )


def _final_losses(network: InspectedNetwork, excerpts: Excerpts) -> Tensor:
    """-log p of the last target of every row."""
    parts = []
    for part in excerpts.split(ROWS):
        logits_BV = network.logits(hidden_states(network, part.inputs_TB)[-1])
        parts.append(functional.cross_entropy(logits_BV, part.targets_TB[-1], reduction="none"))
    return torch.cat(parts)
