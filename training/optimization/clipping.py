"""Gradient clipping by value and by norm, and the detection of a run that diverges.

Clipping follows Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from training.errors import DivergedError

NO_BOUND = 1e38  # float32 has no larger numbers
DIVERGENCE_FACTOR = 2.0  # of the loss of guessing by frequency


@dataclass(frozen=True, slots=True)
class Clipping:
    """The bounds of gradients; 0 means no bound.

    Args:
        by_value: of each gradient, applied first.
        by_norm: of the norm of all gradients.
    """

    by_value: float
    by_norm: float

    def clip(self, network: nn.Module, loss: float, step: int) -> float:
        """Clips the gradients of a step in place.

        Returns:
            Their norm, after clipping by value and before clipping by norm.

        Raises:
            DivergedError: the loss or the norm is not finite.
        """
        parameters = [p for p in network.parameters() if p.grad is not None]
        if 0 < self.by_value < NO_BOUND:
            torch.nn.utils.clip_grad_value_(parameters, self.by_value)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.by_norm or math.inf))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise self._diverged(f"step {step}, loss {loss:.4g}, gradient norm {norm:.4g}")
        return norm

    def check(self, validation: float, training: float, guessing: float, step: int) -> None:
        """Ends a run whose network is worse than a guess.

        A network that has overfitted its training data may have a validation loss far above that of
        a guess, but not the training loss as well.

        Args:
            validation: loss in nats.
            training: loss in nats.
            guessing: the validation loss of a guess by frequency, in nats.
            step: for the message.

        Raises:
            DivergedError: the validation loss is not finite, or both losses are too large.
        """
        figures = f"after step {step}, validation loss {validation:.4g}"
        if not math.isfinite(validation):
            raise self._diverged(figures)
        if min(validation, training) > divergence_loss(guessing):
            raise self._diverged(f"{figures}, that of guessing by frequency {guessing:.4g}")

    def _diverged(self, where: str) -> DivergedError:
        clipping = "a lower --clip-norm" if self.by_norm > 0 else "with --clip-norm above 0"
        return DivergedError(
            f"the run has diverged: the loss is no longer a number of use ({where}); begin "
            f"anew with --overwrite and a lower --learning-rate, or {clipping}"
        )


def zero_gradient_warning(steps: int) -> str:
    """The warning about a run without any gradient in the last ``steps`` steps."""
    return (
        f"warning: the gradient has been zero for {steps:,} steps, so nothing is learned; begin "
        "anew with --overwrite and a lower --learning-rate"
    )


def divergence_loss(guessing: float) -> float:
    """The loss above which a network is useless, from the loss of a guess by frequency; in nats."""
    return DIVERGENCE_FACTOR * guessing + 1.0
