"""Threads for work on large texts and bodies, beside the event loop.

There are few threads, so that they rarely take the interpreter's lock from the event loop and use
little memory at the same time. The number of waiting jobs is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from service.engine.api.errors import QueueFull

P = ParamSpec("P")
T = TypeVar("T")
WORKER_RETRY_SECONDS = 1.0  # about the time for the longest text


class WorkerPool:
    """``threads`` threads with up to ``waiting`` waiting jobs."""

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._capacity = threads + waiting
        self._taken = 0

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start a job. Raises QueueFull. Call it only in the event loop's thread."""
        if self._taken >= self._capacity:
            raise QueueFull(WORKER_RETRY_SECONDS)
        future = asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))
        self._taken += 1
        future.add_done_callback(self._finished)
        return future

    def stop(self) -> None:
        """Start no more jobs; running ones end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _finished(self, _: asyncio.Future[T]) -> None:
        self._taken -= 1
