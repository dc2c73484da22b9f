"""A token bucket: a rate with a burst of one second.

The bucket holds at most one second of its rate, and at least one unit. A cost above that is
accepted when the bucket is full and leaves a debt, so that the mean rate holds for costs of any
size and no cost is refused forever.
"""

from __future__ import annotations


class TokenBucket:
    """``rate`` units a second. Times are seconds of a monotonic clock. Not thread-safe."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._capacity = max(rate, 1.0)
        self._level = self._capacity
        self._updated = now

    def seconds_until(self, cost: float, now: float) -> float:
        """The time until :meth:`take` may be called with this cost; 0 if it may be called now."""
        missing = min(cost, self._capacity) - self._refilled(now)
        return max(0.0, missing / self.rate)

    def take(self, cost: float, now: float) -> None:
        """Take units. A negative cost returns units that were not used."""
        self._level = min(self._capacity, self._refilled(now) - cost)
        self._updated = now

    def is_full(self, now: float) -> bool:
        """Whether it is the same as a new bucket."""
        return self._refilled(now) >= self._capacity

    def _refilled(self, now: float) -> float:
        elapsed = max(0.0, now - self._updated)
        return min(self._capacity, self._level + elapsed * self.rate)
