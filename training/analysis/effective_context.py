"""Effective context: the loss given the last n tokens minus the loss given the longest context.

After Khandelwal et al., "Sharp Nearby, Fuzzy Far Away" (2018). The last token of every excerpt is
predicted from [END] and the n tokens before it, for several n. All losses are of the same tokens,
so their differences have a much smaller standard error than the losses. Shapes: B excerpts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.analysis.excerpts import Excerpts
from training.analysis.networks import InspectedNetwork, hidden_states

HARMFUL_NATS = 0.02  # by which the loss may rise with context
CONTEXT_ROWS = 64  # in a batch
LENGTHS_OF_A_DECADE = (1, 1.5, 2, 3, 5, 7)


@dataclass(frozen=True, slots=True)
class ContextLosses:
    """Losses by context length.

    Attributes:
        tokens: context lengths, ascending.
        losses: mean loss in nats.
        excesses: mean of the loss minus that of the longest context.
        errors: standard errors of ``excesses``.
    """

    tokens: list[int]
    losses: list[float]
    excesses: list[float]
    errors: list[float]

    def needed(self, excess: float) -> int:
        """The smallest context length from which on all excesses are at most ``excess``."""
        needed = self.tokens[-1]
        for tokens, value in zip(reversed(self.tokens), reversed(self.excesses), strict=True):
            if value > excess:
                break
            needed = tokens
        return needed

    @property
    def best(self) -> int | None:
        """The index of the context length with the lowest loss, where a longer context is harmful.

        The network is no worse there by chance: the loss given the longest context is higher by
        more than ``HARMFUL_NATS`` and by more than three standard errors. Otherwise None.
        """
        best = min(range(len(self.losses)), key=self.losses.__getitem__)
        harm = -self.excesses[best]
        return best if harm > max(HARMFUL_NATS, 3 * self.errors[best]) else None


def context_lengths(longest: int) -> list[int]:
    """1, 2, 3, 5, 7, 10, 15, ... and ``longest``."""
    lengths = {int(step * 10**power) for power in range(9) for step in LENGTHS_OF_A_DECADE}
    return sorted({length for length in lengths if length < longest} | {longest})


@torch.no_grad()
def effective_context(
    network: InspectedNetwork, excerpts: Excerpts, on_progress: Callable[[float], None]
) -> ContextLosses:
    """Measures the loss at several context lengths.

    Args:
        network: in evaluation mode.
        excerpts: one token longer than the longest context.
        on_progress: called with the share that has been read.
    """
    lengths = context_lengths(len(excerpts.inputs_TB) - 1)
    total, read, losses = sum(lengths), 0, list[Tensor]()
    for length in lengths:
        losses.append(_final_losses(network, excerpts.last(length + 1)).double())
        read += length
        on_progress(read / total)
    differences = [losses_B - losses[-1] for losses_B in losses]
    rows = max(2, len(losses[-1]))
    return ContextLosses(
        lengths,
        [float(losses_B.mean()) for losses_B in losses],
        [float(difference_B.mean()) for difference_B in differences],
        [float(d_B.std(correction=0)) / (rows - 1) ** 0.5 for d_B in differences],
    )


def _final_losses(network: InspectedNetwork, excerpts: Excerpts) -> Tensor:
    """-log p of the last target of every excerpt."""
    losses = []
    for batch in excerpts.split(CONTEXT_ROWS):
        logits_BV = network.logits(hidden_states(network, batch.inputs_TB)[-1])
        losses.append(functional.cross_entropy(logits_BV, batch.targets_TB[-1], reduction="none"))
    return torch.cat(losses)
