"""How many sequences a runner takes in, and when to come back if it is full.

The only part of a runner that other threads change: ``submit`` takes places, the engine's
thread gives them back. The time to come back is estimated from how fast sequences have been
finishing. Knows no rows and no queue order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from service.engine.errors import QueueFull

WINDOW = 128  # finished sequences that the rate is measured over


class Admission:
    """Counts sequences from submission to their end. Thread-safe."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._busy_since = clock()
        self._finished: deque[tuple[float, int]] = deque(maxlen=WINDOW)

    @property
    def used(self) -> int:
        """Sequences taken in and not yet ended."""
        return self._used

    def take(self, count: int) -> None:
        """Takes places for a request, all or none. Raises QueueFull."""
        with self._lock:
            self._check(count)
            if self._used == 0:  # a rate from before a pause says nothing about now
                self._busy_since = self._clock()
                self._finished.clear()
            self._used += count

    def check(self, count: int) -> None:
        """Raises QueueFull if :meth:`take` would."""
        with self._lock:
            self._check(count)

    def release(self, count: int) -> None:
        """Gives places back."""
        with self._lock:
            self._used -= count
            self._finished.append((self._clock(), count))

    def _check(self, count: int) -> None:
        excess = self._used + count - self.limit
        if excess > 0:
            raise QueueFull(self._seconds_until(excess))

    def _seconds_until(self, places: int) -> float:
        """When so many places will be free, at the measured rate; if nothing has finished yet,
        not before as long again as the work has been going on for each of them.
        """
        now = self._clock()
        if not self._finished:
            return max(now - self._busy_since, 1.0) * places
        since = self._busy_since if len(self._finished) < WINDOW else self._finished[0][0]
        done = sum(count for _, count in self._finished)
        return places * max(now - since, 1e-3) / done
