"""Measured durations of work by its size, to estimate how long further work will take."""

from __future__ import annotations

import math

_FALL = 0.5
_RISE = 0.0625
"""Shares of a new measurement. A long one may be due to other processes, a short one is not."""


class TurnTimes:
    """Seconds of a step or batch by its number of rows or tokens, in powers of two."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}  # by the bits of the size

    def record(self, size: int, seconds: float) -> None:
        """Add a measurement of work of this size."""
        bits = _bits(size)
        known = self._seconds.get(bits, seconds)
        self._seconds[bits] = known + (seconds - known) * (_FALL if seconds < known else _RISE)

    def estimate(self, size: int) -> float:
        """The expected seconds for this size; infinite before the first measurement.

        Work larger than any measured is taken to be proportional to its size. Work smaller than any
        measured takes no longer.
        """
        bits = _bits(size)
        known = self._seconds.get(bits)
        if known is not None:
            return known
        smaller = max((other for other in self._seconds if other < bits), default=None)
        if smaller is not None:
            return math.ldexp(self._seconds[smaller], bits - smaller)
        return self._seconds[min(self._seconds)] if self._seconds else math.inf


def _bits(size: int) -> int:
    return max(size - 1, 0).bit_length()
