"""The limit of requests that a client has at a time. Thread-safe.

The time to retry after is estimated from the client's own requests: one of the usual length that
began when its oldest open one did would end then.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.clients.key_file import ClientLimits
from service.engine.api.errors import ConcurrencyLimited

RECENT = 16  # requests whose usual length counts


class _OpenRequests:
    """The open requests of a client, and how long its last ones took, in seconds."""

    def __init__(self) -> None:
        self.begun: dict[int, float] = {}  # by number, the oldest first
        self.seconds: deque[float] = deque(maxlen=RECENT)

    def until_next_end(self, now: float) -> float:
        """The estimated time until one of them ends."""
        age = now - next(iter(self.begun.values()))
        if not self.seconds:
            return age  # as long again
        usual = statistics.median(self.seconds)
        return usual - age if age < usual else usual


class ConcurrencyLimits:
    """The open requests of all clients. ``limits`` gives the limits of a client, which may change.

    Nothing is kept of a client without open requests.
    """

    def __init__(
        self,
        limits: Callable[[str], ClientLimits],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _OpenRequests] = {}
        self._numbers = itertools.count()

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """Holds a place of the client for one request. Raises ConcurrencyLimited."""
        most = self._limits(client).concurrent_requests
        if most is None:
            yield
            return
        number = self._begin(client, most)
        try:
            yield
        finally:
            self._end(client, number)

    def _begin(self, client: str, most: int) -> int:
        with self._lock:
            own, now = self._open.setdefault(client, _OpenRequests()), self._clock()
            if len(own.begun) >= most:
                raise ConcurrencyLimited(most, own.until_next_end(now))
            number = next(self._numbers)
            own.begun[number] = now
            return number

    def _end(self, client: str, number: int) -> None:
        with self._lock:
            own = self._open[client]
            own.seconds.append(self._clock() - own.begun.pop(number))
            if not own.begun:
                del self._open[client]
