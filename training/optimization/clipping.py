"""Gradients brought within bounds before a step, and how a run that diverges is told.

Clipping by value, then by norm (the lecture; Pascanu et al., 2013). Knows no optimizer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from training.errors import DivergedError

NO_BOUND = 1e38  # float32 has no larger numbers
FAR = 2.0  # times the loss of guessing, and a nat: above that a network has lost what it began with


@dataclass(frozen=True, slots=True)
class Clipping:
    """The bounds of gradients; 0: none."""

    by_value: float
    by_norm: float

    def clip(self, network: nn.Module, loss: float, step: int) -> float:
        """Clips the gradients of a step.

        Returns:
            Their norm, after clipping by value and before clipping by norm.

        Raises:
            DivergedError: the loss or the norm is not a finite number.
        """
        parameters = [p for p in network.parameters() if p.grad is not None]
        if 0 < self.by_value < NO_BOUND:
            torch.nn.utils.clip_grad_value_(parameters, self.by_value)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.by_norm or math.inf))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise self._diverged(f"step {step}, loss {loss:.4g}, gradient norm {norm:.4g}")
        return norm

    def check(self, validation: float, training: float, guessing: float, step: int) -> None:
        """Ends a run that has lost what it knew, by its losses in nats.

        ``guessing``: the validation loss of guessing by frequency. A network that has learned its
        training data by heart may be far above that in validation, but not in training as well.

        Raises:
            DivergedError: the validation loss is not finite, or both losses are far too large.
        """
        found = f"after step {step}, validation loss {validation:.4g}"
        if not math.isfinite(validation):
            raise self._diverged(found)
        if min(validation, training) > far_above(guessing):
            raise self._diverged(f"{found}, that of guessing by frequency {guessing:.4g}")

    def _diverged(self, where: str) -> DivergedError:
        clipping = "a lower --clip-norm" if self.by_norm > 0 else "with --clip-norm above 0"
        return DivergedError(
            f"the run has diverged: the loss is no longer a number of use ({where}); begin "
            f"anew with --overwrite and a lower --learning-rate, or {clipping}"
        )


def still_warning(steps: int) -> str:
    """Of a run that has had no gradient for so many steps."""
    return (
        f"warning: the gradient has been zero for {steps:,} steps, so nothing is learned; begin "
        "anew with --overwrite and a lower --learning-rate"
    )


def far_above(guessing: float) -> float:
    """The loss above which a network is of no use, by that of guessing."""
    return FAR * guessing + 1.0
