"""A budget for the memory of all answers. Thread-safe."""

from __future__ import annotations

import threading
from collections import Counter

from service.engine.api.errors import QueueFull

ANSWER_RETRY_SECONDS = 1.0


class AnswerMemoryBudget:
    """Reserves at most ``limit`` bytes for answers.

    A client may hold as much as it leaves free for others, so that one client cannot block the
    others.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._used = 0
        self._held: Counter[str] = Counter()  # bytes by client

    def reserve(self, count: int, client: str = "") -> None:
        """Reserve bytes. Raises QueueFull. A request that is alone always succeeds."""
        with self._lock:
            free = self._limit - self._used - count
            if self._used and self._held[client] + count > free:
                raise QueueFull(ANSWER_RETRY_SECONDS)
            self._used += count
            self._held[client] += count

    def release(self, count: int, client: str = "") -> None:
        """Free reserved bytes."""
        with self._lock:
            self._used -= count
            self._held[client] -= count
            if self._held[client] == 0:
                del self._held[client]
