"""Runs inspections in one thread of low priority, beside the engine.

Inspections are computed with torch in float32 and may take seconds. One thread computes them one
after the other, with one processor thread and a lower priority than the engine's, so that streams
keep their pace. Those that wait are taken in an order that is fair by client.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from service.clients.rate_limits import RateLimits, TokenCharge
from service.engine.api.errors import DeadlineExceeded, Draining, EngineError, RateLimited
from service.engine.api.observer import Observer
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.fair_queue import FairQueue
from service.inspection.cancellation import Cancellation, InspectionCancelled

Result = TypeVar("Result")

PRIORITY = 10  # added to the niceness of the thread
LEAST_PRIORITY = 19  # the highest niceness


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    compute: Callable[[Cancellation], Any]
    client: str
    cost: float
    cancellation: Cancellation
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class InspectionCharge:
    """What the client of an inspection is charged, if its tokens are limited. ``read`` counts the
    tokens of its texts.
    """

    model: str
    read: Callable[[], int]
    generated: int = 0


class Inspections:
    """A queue of inspections and the thread that computes them.

    Args:
        waiting: inspections of one client that may wait, before it is refused.
        load: called in the thread before the first inspection, at the priority of the engine:
            whoever imports torch holds the interpreter's lock, and must not wait for a processor.
        rates: charges the tokens of each inspection to its client.
        observer: is told of those that are refused for that.
    """

    def __init__(
        self,
        waiting: int,
        load: Callable[[], object] = lambda: None,
        *,
        rates: RateLimits,
        observer: Observer,
    ) -> None:
        self._rates = rates
        self._observer = observer
        self._load = load
        self._admission = Admission(waiting)
        self._queue: FairQueue[_Job] = FairQueue()
        self._changed = threading.Condition()
        self._draining = False
        self._running: _Job | None = None
        self._thread = threading.Thread(target=self._work, name="inspection", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    async def run(
        self,
        compute: Callable[[Cancellation], Result],
        *,
        client: str,
        cost: float,
        charge: InspectionCharge,
        deadline_seconds: float | None,
    ) -> Result:
        """The result of ``compute``, which the thread calls. Cancelling the caller cancels it.

        Args:
            compute: checks the cancellation it is given between its parts.
            client: whose turn the inspection counts for.
            cost: about proportional to the time it takes.
            charge: returned to the client if the inspection is refused or fails.
            deadline_seconds: after which it is given up; None: never.

        Raises:
            QueueFull: the client has too many inspections that wait.
            RateLimited: the client has used its tokens.
            Draining: the service takes no new work.
            DeadlineExceeded: the deadline passed first.
        """
        if self._draining:
            raise Draining
        charged = self._charge(client, charge)
        try:
            return await self._run(compute, client, cost, deadline_seconds)
        except DeadlineExceeded:  # it was computed in part
            raise
        except Exception:
            if charged is not None:
                charged.settle(None)
            raise

    def _charge(self, client: str, charge: InspectionCharge) -> TokenCharge | None:
        if not self._rates.limits_tokens(client):
            return None
        try:
            return self._rates.charge(client, charge.read(), charge.generated)
        except RateLimited:
            self._observer.rejected(charge.model, "rate_limited")
            raise

    async def _run(
        self,
        compute: Callable[[Cancellation], Result],
        client: str,
        cost: float,
        deadline_seconds: float | None,
    ) -> Result:
        self._admission.take(1, client)
        job = _Job(compute, client, cost, Cancellation(), Future())
        job.future.add_done_callback(lambda _: self._admission.release(1, client))
        with self._changed:
            self._queue.put(client, job, [job])
            self._changed.notify()
        try:
            async with asyncio.timeout(deadline_seconds):
                result: Result = await asyncio.wrap_future(job.future)
        except TimeoutError:
            raise DeadlineExceeded from None
        finally:
            job.cancellation.cancel()
        return result

    def stop(self) -> None:
        """Refuses new inspections and cancels those there are."""
        with self._changed:
            self._draining = True
            for job in list(self._queue):
                job.cancellation.cancel()
            if self._running is not None:
                self._running.cancellation.cancel()
            self._changed.notify()

    def _work(self) -> None:
        job = self._next()
        if job is None:
            return
        with suppress(EngineError):  # the job fails by itself
            self._load()
        _lower_priority()
        while job is not None:
            _compute(job)
            job = self._next()

    def _next(self) -> _Job | None:
        """The job whose turn it is; None once the service ends."""
        with self._changed:
            self._running = None
            while not len(self._queue):
                if self._draining:
                    return None
                self._changed.wait()
            job = next(iter(self._queue.firsts()))
            self._queue.take(job, job, job.cost)
            self._running = job
            return job


def _compute(job: _Job) -> None:
    """Computes one job unless it is cancelled; whatever it raises is its result."""
    if job.cancellation.cancelled:
        job.future.cancel()
    if not job.future.set_running_or_notify_cancel():
        return
    try:
        result = job.compute(job.cancellation)
    except InspectionCancelled:
        job.future.set_exception(Draining())  # or nobody waits for it any more
    except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
        job.future.set_exception(error)
    else:
        job.future.set_result(result)


def _lower_priority() -> None:
    """That of the calling thread, as far as the system can. Linux only: elsewhere threads have no
    priority of their own.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        own = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(own + PRIORITY, LEAST_PRIORITY))
