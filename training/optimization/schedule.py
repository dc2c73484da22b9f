"""The one-cycle schedule of learning rate and momentum, and the budget of a run.

The learning rate rises to its peak and falls along a cosine to a hundredth of it, while momentum
moves the other way (Smith and Topin, "Super-Convergence", 2019). A budget is a number of seconds,
steps or epochs. The schedule is a function of the used-up share of the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """Learning rate and momentum (Adam's first beta) as functions of progress in [0, 1].

    Args:
        peak: the highest learning rate.
        warm_up: the share of the run in which the learning rate rises.
        first: the learning rate at the start, as a share of the peak.
        last: the learning rate at the end, as a share of the peak.
        momentum_high: the momentum at both ends.
        momentum_low: the momentum at the peak of the learning rate.
    """

    peak: float
    warm_up: float = 0.12
    first: float = 0.1
    last: float = 0.01
    momentum_high: float = 0.8
    momentum_low: float = 0.7

    def learning_rate(self, progress: float) -> float:
        """The learning rate at ``progress``."""
        if progress < self.warm_up:
            return self.peak * _between(self.first, 1.0, progress / self.warm_up)
        return self.peak * _cosine(1.0, self.last, self._fall(progress))

    def momentum(self, progress: float) -> float:
        """The momentum at ``progress``."""
        if progress < self.warm_up:
            return _between(self.momentum_high, self.momentum_low, progress / self.warm_up)
        return _cosine(self.momentum_low, self.momentum_high, self._fall(progress))

    def _fall(self, progress: float) -> float:
        return min(1.0, (progress - self.warm_up) / (1.0 - self.warm_up))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The length of a run; exactly one of seconds, steps and epochs is set."""

    seconds: float | None = None
    steps: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        amounts = [x for x in (self.seconds, self.steps, self.epochs) if x is not None]
        if len(amounts) != 1 or not amounts[0] > 0 or not math.isfinite(amounts[0]):
            raise ValueError("a budget needs one positive number of seconds, steps or epochs")

    def progress(
        self,
        *,
        seconds: float,
        steps: int,
        epochs: float,
        begin: float = 0.0,
        reserve: float = 0.0,
    ) -> float:
        """The used-up share, from 0 to 1.

        Args:
            seconds: since the start of the command.
            steps: taken so far.
            epochs: read so far.
            begin: seconds of a time budget that were spent before the first step.
            reserve: seconds of a time budget that are kept for the work after the last step.
        """
        if self.seconds is not None:
            usable = self.seconds - begin - reserve
            return min(1.0, max(0.0, seconds - begin) / usable) if usable > 0 else 1.0
        if self.steps is not None:
            return min(1.0, steps / self.steps)
        return min(1.0, epochs / (self.epochs or 1.0))


def _between(begin: float, end: float, share: float) -> float:
    return begin + (end - begin) * share


def _cosine(begin: float, end: float, share: float) -> float:
    return end + (begin - end) * (1.0 + math.cos(math.pi * share)) / 2.0
