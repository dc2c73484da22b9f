"""Threads for large texts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from service.backend.workers import WorkerPool
from service.engine.api.errors import QueueFull


def with_pool(
    test: Callable[[WorkerPool], Coroutine[Any, Any, None]], threads: int = 1, waiting: int = 5
) -> None:
    """Run a test in an event loop."""

    async def run() -> None:
        pool = WorkerPool(threads=threads, waiting=waiting)
        try:
            await test(pool)
        finally:
            pool.stop()

    asyncio.run(run())


def test_results_and_errors_reach_the_caller() -> None:
    """A job returns its value or raises its exception, also one that is no Exception."""

    class PanicError(BaseException):
        pass

    def fail(error: BaseException) -> None:
        raise error

    async def test(pool: WorkerPool) -> None:
        assert await pool.start("a", 1.0, divmod, 7, 2) == (3, 1)
        with pytest.raises(ValueError, match="no"):
            await pool.start("a", 1.0, fail, ValueError("no"))
        with pytest.raises(PanicError):
            await pool.start("a", 1.0, fail, PanicError())

    with_pool(test)


def test_a_client_does_not_wait_for_the_jobs_of_another() -> None:
    """With one thread, the only job of a client runs before most of the five of another one."""
    order: list[str] = []

    async def test(pool: WorkerPool) -> None:
        begin = threading.Event()
        first = pool.start("greedy", 1.0, begin.wait)
        jobs = [pool.start("greedy", 1.0, order.append, "greedy") for _ in range(5)]
        jobs.append(pool.start("other", 1.0, order.append, "other"))
        begin.set()
        await asyncio.gather(first, *jobs)

    with_pool(test)
    assert len(order) == 6
    assert "other" in order[:2]


def test_waiting_jobs_are_bounded_for_each_client() -> None:
    """A client without free places is refused, another one is not; ended jobs free places."""

    async def test(pool: WorkerPool) -> None:
        begin = threading.Event()
        jobs = [pool.start("greedy", 1.0, begin.wait) for _ in range(6)]
        with pytest.raises(QueueFull):
            pool.start("greedy", 1.0, begin.wait)
        jobs.append(pool.start("other", 1.0, begin.wait))
        begin.set()
        await asyncio.gather(*jobs)
        assert await pool.start("greedy", 1.0, begin.wait)

    with_pool(test)


def test_cancelled_jobs_free_their_places() -> None:
    """A job that is cancelled while it waits does not run; one that runs goes on unheard."""
    ran: list[str] = []

    async def test(pool: WorkerPool) -> None:
        begin = threading.Event()
        running = pool.start("a", 1.0, begin.wait)
        waiting = pool.start("a", 1.0, ran.append, "waiting")
        waiting.cancel()
        running.cancel()
        begin.set()
        await pool.start("a", 1.0, ran.append, "last")
        for _ in range(6):
            await pool.start("a", 1.0, ran.append, "more")

    with_pool(test)
    assert ran == ["last", *["more"] * 6]
