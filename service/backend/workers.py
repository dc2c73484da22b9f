"""Threads for work on large texts and bodies, beside the event loop.

Few, so that they do not take the interpreter's lock from the event loop in turns, and so that the
memory which such work needs for a moment is needed a few times only. What waits for a thread is
bounded as well. Knows nothing of what is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from service.engine.api.errors import QueueFull

P = ParamSpec("P")
T = TypeVar("T")
WORKER_RETRY_SECONDS = 1.0  # the longest text takes about so long


class WorkerPool:
    """``threads`` at work, ``waiting`` that wait for one of them."""

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._most = threads + waiting
        self._taken = 0

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """The result to come. Raises QueueFull. Only in the event loop's thread."""
        if self._taken >= self._most:
            raise QueueFull(WORKER_RETRY_SECONDS)
        future = asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))
        self._taken += 1
        future.add_done_callback(self._give_back)
        return future

    def stop(self) -> None:
        """Begins nothing more; what is under way ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _give_back(self, _: asyncio.Future[T]) -> None:
        self._taken -= 1
