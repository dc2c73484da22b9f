"""Counts the memory that the answers of all requests may take, and refuses more. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter

from service.engine.api.errors import QueueFull

ANSWER_RETRY_SECONDS = 1.0


class AnswerMemoryBudget:
    """Bytes that are reserved for answers, of ``limit`` in all.

    A client holds at most as many as it leaves free, so that one client cannot have others refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._used = 0
        self._held: Counter[str] = Counter()  # the same by client

    def take(self, count: int, client: str = "") -> None:
        """Reserves bytes. Raises QueueFull. A request that is alone is always let in."""
        with self._lock:
            free = self._limit - self._used - count
            if self._used and self._held[client] + count > free:
                raise QueueFull(ANSWER_RETRY_SECONDS)
            self._used += count
            self._held[client] += count

    def give_back(self, count: int, client: str = "") -> None:
        """Frees what was reserved."""
        with self._lock:
            self._used -= count
            self._held[client] -= count
            if self._held[client] == 0:
                del self._held[client]
