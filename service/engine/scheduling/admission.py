"""Admission control: how many sequences a runner accepts, and the time to retry after.

A client may hold as many slots as it leaves free for others. ``limit`` is the number for a single
client; all clients together hold less than twice as many, and there is always a slot for a client
that holds none.

The time to retry after is estimated from the rate at which sequences finish. Sequences of the
asking client count twice, because each frees two slots for it. Before enough of them have finished,
it is the time in which all accepted tokens are read and generated at the rate measured so far:
sequences take turns, so that equal ones end at about the same time.

A deadline is refused at once if a client has more sequences than there are rows, and its latest
ones have all waited longer than the deadline for a row.

``submit`` takes slots in any thread. The engine's thread releases them.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from service.engine.api.errors import QueueFull

RATE_WINDOW = 128  # finished sequences over which the rate is measured
FEWEST_FINISHED = 8  # from which the rate is known
RECENT_WAITS = 16  # of a client, of which the shortest counts


class Admission:
    """Counts sequences from submission to their end. Thread-safe."""

    def __init__(
        self, limit: int, clock: Callable[[], float] = time.monotonic, *, rows: int = 1
    ) -> None:
        self.limit = limit
        self._rows = rows
        self._clock = clock
        self._lock = threading.Lock()
        self._used = 0
        self._held: Counter[str] = Counter()  # sequences by client
        self._busy_since = clock()
        self._finished: deque[tuple[float, int, str]] = deque(maxlen=RATE_WINDOW)
        self._left = 0  # tokens of accepted sequences that are not yet read or generated
        self._done = 0  # tokens since the work began
        self._waits: dict[str, deque[float]] = {}  # of clients with more sequences than rows

    @property
    def used(self) -> int:
        """Sequences that were accepted and have not ended."""
        return self._used

    def take(self, count: int, client: str = "", tokens: int = 0) -> None:
        """Take ``count`` slots for a request of a client, all or none. Raises QueueFull.

        ``tokens``: the most that it reads and generates.
        """
        with self._lock:
            self._check(count, client)
            if self._used == 0:  # a rate from before an idle time does not apply
                self._busy_since = self._clock()
                self._finished.clear()
                self._left = self._done = 0
            self._left += tokens
            self._used += count
            self._held[client] += count

    def check(self, count: int, client: str = "") -> None:
        """Raises QueueFull if :meth:`take` would."""
        with self._lock:
            self._check(count, client)

    def progress(self, tokens: int) -> None:
        """Tokens were read or generated."""
        with self._lock:
            self._done += tokens
            self._left = max(0, self._left - tokens)

    def started(self, client: str, seconds: float) -> None:
        """A sequence of the client got its first row after this time."""
        with self._lock:
            if self._held[client] > self._rows:
                waits = self._waits.setdefault(client, deque(maxlen=RECENT_WAITS))
                waits.append(seconds)

    def shortest_wait(self, client: str) -> float:
        """The shortest time that a new sequence of the client is likely to wait, in seconds; 0 if
        that is not known.
        """
        with self._lock:
            waits = self._waits.get(client, ())
            return min(waits) if len(waits) == RECENT_WAITS else 0.0

    def release(self, count: int, client: str = "", unused: int = 0) -> None:
        """Return slots. ``unused``: tokens of them that were not needed."""
        with self._lock:
            self._left = max(0, self._left - unused)
            self._used -= count
            self._held[client] -= count
            if self._held[client] <= self._rows:
                self._waits.pop(client, None)
            if self._held[client] == 0:
                del self._held[client]
            self._finished.append((self._clock(), count, client))

    def _check(self, count: int, client: str) -> None:
        held = self._held[client] + count
        free = 2 * self.limit - self._used - count
        if held > free:
            raise QueueFull(self._seconds_until(held - free, client))

    def _seconds_until(self, excess: int, client: str) -> float:
        """The time until the client's excess is gone, at the measured rates. If nothing has moved
        yet, the estimate is the time since the work began for every two slots.
        """
        now = self._clock()
        elapsed = max(now - self._busy_since, 1e-3)
        by_work = self._left * elapsed / self._done if self._done and self._left else math.inf
        if len(self._finished) < FEWEST_FINISHED and by_work < math.inf:
            return by_work
        if not self._finished:
            return max(elapsed, 1.0) * excess / 2
        since = self._busy_since if len(self._finished) < RATE_WINDOW else self._finished[0][0]
        done = sum(count * (1 + (whose == client)) for _, count, whose in self._finished)
        return min(by_work, excess * max(now - since, 1e-3) / done)
