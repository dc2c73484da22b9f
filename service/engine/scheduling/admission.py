"""How many sequences a runner takes in, and when to come back if it is full.

No client may hold more places than it leaves free for others. ``limit`` is what a client can hold
that is alone; all clients together hold less than twice as many, and there are always places for a
client that holds none. The time to come back is estimated from how fast sequences have been
finishing, those of the client that asks counted twice: each makes two places for it.

``submit`` takes places from any thread; the engine's thread gives them back. Knows no rows and no
queue order.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from service.engine.api.errors import QueueFull

WINDOW = 128  # finished sequences that the rate is measured over


class Admission:
    """Counts sequences from submission to their end. Thread-safe."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._held: Counter[str] = Counter()  # the same by client
        self._busy_since = clock()
        self._finished: deque[tuple[float, int, str]] = deque(maxlen=WINDOW)

    @property
    def used(self) -> int:
        """Sequences taken in and not yet ended."""
        return self._used

    def take(self, count: int, client: str = "") -> None:
        """Takes places for a request of a client, all or none. Raises QueueFull."""
        with self._lock:
            self._check(count, client)
            if self._used == 0:  # a rate from before a pause says nothing about now
                self._busy_since = self._clock()
                self._finished.clear()
            self._used += count
            self._held[client] += count

    def check(self, count: int, client: str = "") -> None:
        """Raises QueueFull if :meth:`take` would."""
        with self._lock:
            self._check(count, client)

    def release(self, count: int, client: str = "") -> None:
        """Gives places back."""
        with self._lock:
            self._used -= count
            self._held[client] -= count
            if self._held[client] == 0:
                del self._held[client]
            self._finished.append((self._clock(), count, client))

    def _check(self, count: int, client: str) -> None:
        held = self._held[client] + count
        free = 2 * self.limit - self._used - count
        if held > free:
            raise QueueFull(self._seconds_until(held - free, client))

    def _seconds_until(self, excess: int, client: str) -> float:
        """When the client's excess over what is free will be gone, at the measured rate; if nothing
        has finished yet, not before as long again as the work has been going on for each place.
        """
        now = self._clock()
        if not self._finished:
            return max(now - self._busy_since, 1.0) * excess / 2
        since = self._busy_since if len(self._finished) < WINDOW else self._finished[0][0]
        done = sum(count * (1 + (whose == client)) for _, count, whose in self._finished)
        return excess * max(now - since, 1e-3) / done
