"""Threads for work on large texts and bodies, beside the event loop.

There are few threads, so that they rarely take the interpreter's lock from the event loop and use
little memory at the same time. Waiting jobs are bounded, and their order is fair by client: one
client with many large texts does not make another's one wait for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from service.engine.scheduling.admission import Admission
from service.engine.scheduling.fair_queue import FairQueue

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    run: Callable[[], Any]
    client: str
    cost: float
    future: asyncio.Future[Any]


class WorkerPool:
    """``threads`` threads, with up to ``waiting`` waiting jobs of one client. Call its methods only
    in the event loop's thread.
    """

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="worker")
        self._free = threads
        self._stopped = False
        self._admission = Admission(threads + waiting)
        self._queue: FairQueue[_Work] = FairQueue()

    def start(
        self, client: str, cost: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Start a job for a client. ``cost`` is about proportional to its time. Raises QueueFull.
        A job that is cancelled before its turn does not run.
        """
        self._admission.take(1, client)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = _Work(functools.partial(work, *args, **kwargs), client, cost, future)
        self._queue.put(client, job, [job])
        self._run_next()
        return future

    def stop(self) -> None:
        """Start no more jobs; running ones end by themselves."""
        for job in list(self._queue):
            job.future.cancel()
        self._stopped = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run_next(self) -> None:
        while self._free and len(self._queue) and not self._stopped:
            job = next(iter(self._queue.firsts()))
            self._queue.take(job, job, job.cost)
            if job.future.cancelled():
                self._admission.release(1, job.client)
                continue
            self._free -= 1
            loop = job.future.get_loop()
            running = self._pool.submit(job.run)
            running.add_done_callback(functools.partial(self._deliver, loop, job))

    def _deliver(self, loop: asyncio.AbstractEventLoop, job: _Work, ended: Future[Any]) -> None:
        """Called in the thread of the job."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is ending
            loop.call_soon_threadsafe(self._finish, job, ended)

    def _finish(self, job: _Work, ended: Future[Any]) -> None:
        self._free += 1
        self._admission.release(1, job.client)
        if not job.future.done():
            if ended.cancelled():
                job.future.cancel()
            elif (error := ended.exception()) is not None:
                job.future.set_exception(error)
            else:
                job.future.set_result(ended.result())
        self._run_next()
