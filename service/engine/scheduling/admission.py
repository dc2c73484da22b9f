"""Admission control: how many sequences a runner accepts, and the time to retry after.

A client may hold as many slots as it leaves free for others. ``limit`` is the number for a single
client; all clients together hold less than twice as many, and there is always a slot for a client
that holds none. The time to retry after is estimated from the rate at which sequences finish.
Sequences of the asking client count twice, because each frees two slots for it.

``submit`` takes slots in any thread. The engine's thread releases them.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from service.engine.api.errors import QueueFull

RATE_WINDOW = 128  # finished sequences over which the rate is measured


class Admission:
    """Counts sequences from submission to their end. Thread-safe."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._held: Counter[str] = Counter()  # sequences by client
        self._busy_since = clock()
        self._finished: deque[tuple[float, int, str]] = deque(maxlen=RATE_WINDOW)

    @property
    def used(self) -> int:
        """Sequences that were accepted and have not ended."""
        return self._used

    def take(self, count: int, client: str = "") -> None:
        """Take ``count`` slots for a request of a client, all or none. Raises QueueFull."""
        with self._lock:
            self._check(count, client)
            if self._used == 0:  # a rate from before an idle time does not apply
                self._busy_since = self._clock()
                self._finished.clear()
            self._used += count
            self._held[client] += count

    def check(self, count: int, client: str = "") -> None:
        """Raises QueueFull if :meth:`take` would."""
        with self._lock:
            self._check(count, client)

    def release(self, count: int, client: str = "") -> None:
        """Return slots."""
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
        """The time until the client's excess is gone, at the measured rate. If nothing has
        finished yet, the estimate is the time since the work began for every two slots.
        """
        now = self._clock()
        if not self._finished:
            return max(now - self._busy_since, 1.0) * excess / 2
        since = self._busy_since if len(self._finished) < RATE_WINDOW else self._finished[0][0]
        done = sum(count * (1 + (whose == client)) for _, count, whose in self._finished)
        return excess * max(now - since, 1e-3) / done
