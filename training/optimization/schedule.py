"""The one-cycle schedule, and the budget that says how far along the cycle a run is.

The learning rate rises to its peak and falls along a cosine to a hundredth of it, while momentum
moves the other way (Smith and Topin, 2019). A budget is a number of minutes, steps or epochs; its
progress, from 0 to 1, is all that the schedule knows of time. No clock and no optimizer in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle:
    """Learning rate and momentum (Adam's first beta) as functions of progress in [0, 1].

    ``peak`` is the highest learning rate, ``warm_up`` the share of the run that leads to it, and
    ``first`` and ``last`` the rates at the two ends as shares of the peak.
    """

    peak: float
    warm_up: float = 0.12
    first: float = 0.1
    last: float = 0.01
    momentum_high: float = 0.8
    momentum_low: float = 0.7

    def learning_rate(self, progress: float) -> float:
        """Learning rate at ``progress``."""
        if progress < self.warm_up:
            return self.peak * _between(self.first, 1.0, progress / self.warm_up)
        return self.peak * _cosine(1.0, self.last, self._fall(progress))

    def momentum(self, progress: float) -> float:
        """Momentum at ``progress``: lowest where the learning rate is highest."""
        if progress < self.warm_up:
            return _between(self.momentum_high, self.momentum_low, progress / self.warm_up)
        return _cosine(self.momentum_low, self.momentum_high, self._fall(progress))

    def _fall(self, progress: float) -> float:
        return min(1.0, (progress - self.warm_up) / (1.0 - self.warm_up))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long a run may last: exactly one of seconds, steps and epochs is set."""

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
        """The share that is used up, from 0 to 1.

        Of a time budget, ``begin`` seconds were spent before the first step and ``reserve`` are
        kept for what follows the last one.
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
