"""Counts what is held by requests together and refuses more than there may be. Thread-safe."""

from __future__ import annotations

import threading

from service.engine.errors import QueueFull

RETRY_SECONDS = 1.0


class Ledger:
    """Bytes that are reserved for answers, of ``limit`` in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._held = 0

    def take(self, count: int) -> None:
        """Reserves so many. Raises QueueFull. One request alone is always let in."""
        with self._lock:
            if self._held and self._held + count > self._limit:
                raise QueueFull(RETRY_SECONDS)
            self._held += count

    def give_back(self, count: int) -> None:
        """Frees what was reserved."""
        with self._lock:
            self._held -= count
