"""The limit on open connections, and the connections that are accepted at the limit.

At the limit, the connection that has been without a complete request for the longest time is closed
for a new one. If every connection has a request, a few spare ones are accepted: they may request
/health and get 503 for anything else. A new spare connection replaces the oldest one without a
request. Connections are not counted by address, because behind a proxy all have the same address.
"""

from __future__ import annotations

import logging
import resource
import time
from enum import Enum, auto
from typing import Protocol

logger = logging.getLogger(__name__)
SPARE_CONNECTIONS = 16
_FILES = 32
"""File descriptors reserved for other uses than connections."""
_DEFAULT_LIMIT = 1024
_LOG_SECONDS = 10


class Closable(Protocol):
    """The part of a connection that the gate uses."""

    def close_now(self) -> None:
        """Close the connection, which has no complete request."""

    def turn_away(self) -> None:
        """Close the connection with a 503."""


class GateDecision(Enum):
    """The treatment of a new connection."""

    REGULAR = auto()
    SPARE = auto()
    REFUSED = auto()


class ConnectionGate:
    """Counts connections. Not thread-safe: all calls come from the event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._regular: set[Closable] = set()
        self._spare: dict[Closable, None] = {}  # oldest first
        self._asking: set[Closable] = set()  # spare ones with a current request
        self._idle: dict[Closable, None] = {}  # longest idle first
        self._refused = 0
        self._last_log = -float(_LOG_SECONDS)

    def enter(self, connection: Closable) -> GateDecision:
        """Register a new connection and decide how it is treated."""
        if self._make_room():
            self._regular.add(connection)
            self._idle[connection] = None
            return GateDecision.REGULAR
        if len(self._spare) >= SPARE_CONNECTIONS and not self._free_spare():
            self.refused()
            return GateDecision.REFUSED
        self._spare[connection] = None
        return GateDecision.SPARE

    def promote(self, connection: Closable) -> bool:
        """Make a spare connection a regular one if a place is free. Returns whether it was."""
        if not self._make_room():
            return False
        self._forget_spare(connection)
        self._regular.add(connection)
        self._idle[connection] = None
        return True

    def leave(self, connection: Closable) -> None:
        """Remove a connection that was closed."""
        self._regular.discard(connection)
        self._forget_spare(connection)
        self._idle.pop(connection, None)

    def became_idle(self, connection: Closable) -> None:
        """Record that the connection's request has ended."""
        self._asking.discard(connection)
        if connection in self._regular:
            self._idle[connection] = None

    def became_busy(self, connection: Closable) -> None:
        """Record that the connection has a complete request."""
        self._idle.pop(connection, None)
        if connection in self._spare:
            self._asking.add(connection)

    def refused(self) -> None:
        """Log that a connection got 503: the first at once, later ones in one line per ten
        seconds.
        """
        self._refused += 1
        now = time.monotonic()
        if now - self._last_log >= _LOG_SECONDS:
            logger.warning(
                "%d connections refused with 503: %d are open, as many as --max-connections allows",
                self._refused,
                len(self._regular),
            )
            self._last_log, self._refused = now, 0

    def _make_room(self) -> bool:
        if len(self._regular) < self._limit:
            return True
        if not self._idle:
            return False
        oldest = next(iter(self._idle))
        self.leave(oldest)
        oldest.close_now()
        return True

    def _free_spare(self) -> bool:
        oldest = next(
            (connection for connection in self._spare if connection not in self._asking), None
        )
        if oldest is None:
            return False
        self._forget_spare(oldest)
        self.refused()
        oldest.turn_away()
        return True

    def _forget_spare(self, connection: Closable) -> None:
        self._spare.pop(connection, None)
        self._asking.discard(connection)


def connection_limit(requested: int | None) -> int:
    """The requested limit or the default, reduced to what the descriptor limit allows.

    Raises the soft limit of the process up to the hard one.
    """
    limit = requested or _DEFAULT_LIMIT
    needed = limit + SPARE_CONNECTIONS + _FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return limit
    possible = max(1, soft - SPARE_CONNECTIONS - _FILES)
    logger.warning(
        "connections are limited to %d: the process may open %d files; raise ulimit -n for %d",
        *(possible, soft, limit),
    )
    return possible
