"""The parent of several workers: binds the port, starts them, replaces those that end or hang, and
passes signals and questions on.

It answers no requests, loads neither torch nor a web framework, and ends when its workers have.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from model.system.standard_streams import discard_unwritten
from service.backend.settings import Settings
from service.listening import bind_all
from service.supervisor.board import Board, WorkerState
from service.supervisor.merged_metrics import Family, MergedMetrics, counter, gauge
from service.supervisor.supervised_worker import SupervisedWorker

logger = logging.getLogger(__name__)
_TICK_SECONDS = 0.1
_HANG_SECONDS = 5.0  # beyond heartbeat_seconds; a worker's own watchdog needs up to 3
_SUSPENSION_SECONDS = 1.0
_FLUSH_SECONDS = 30.0  # beyond drain_seconds, for clients that read slowly
_FORCED_SECONDS = 5.0
_FIRST_FAILURE_SECONDS = 2.0
_METRICS_SECONDS = 2.0
_RELOAD_SECONDS = 3600.0
_FAILED = 1
_INTERRUPTED = 130


def supervise(settings: Settings, command: Sequence[str]) -> int:
    """Run ``settings.workers`` processes of the command until a signal. Returns the exit status.
    Raises BindError if the port cannot be bound, OSError if the system lacks resources.
    """
    with contextlib.ExitStack() as opened:
        listeners = bind_all(settings, opened)
        return asyncio.run(Supervisor(settings, command, listeners).run())


class Supervisor:
    """See :func:`supervise`."""

    def __init__(
        self, settings: Settings, command: Sequence[str], listeners: Sequence[socket.socket]
    ) -> None:
        self._settings = settings
        self._board = Board.create(settings.workers)
        key = settings.state_key.get_secret_value() or secrets.token_hex(32)
        self._workers = [
            SupervisedWorker(slot, command, listeners, self._board, key, self._answer)
            for slot in range(settings.workers)
        ]
        self._metrics = MergedMetrics()
        self._signals = 0
        self._deadline = 0.0
        self._announced = False
        self._interrupted = False
        self._trusted_from = 0.0
        self._background: set[asyncio.Task[Any]] = set()

    async def run(self) -> int:
        """Supervise until all workers have ended."""
        self._board.beat_supervisor()
        self._handle_signals()
        try:
            for worker in self._workers:
                worker.start()
            return await self._watch()
        finally:
            self._kill_all()  # none after an orderly end

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload_on_signal)

    async def _watch(self) -> int:
        """Look at all workers ten times a second. Returns the exit status."""
        looked = time.monotonic()
        while True:
            now = time.monotonic()
            if (
                now - looked > _SUSPENSION_SECONDS
            ):  # this process was suspended, perhaps all of them
                self._trusted_from = now + self._hang_seconds
            looked = now
            self._board.beat_supervisor()
            failed = self._look_at_workers(now)
            if failed is not None:
                return await self._report_failed_start(failed)
            if self._signals and not any(worker.is_running for worker in self._workers):
                return _INTERRUPTED if self._interrupted else 0
            if self._signals and now > self._deadline:
                self._kill_all()
            if not self._announced and all(worker.has_joined for worker in self._workers):
                self._announced = True
                self._spawn(self._announce())
            await asyncio.sleep(_TICK_SECONDS)

    def _look_at_workers(self, now: float) -> SupervisedWorker | None:
        """Replace workers that have ended and kill those that hang. Returns one that has ended
        before all had started: the service cannot start.
        """
        for worker in self._workers:
            ended = worker.has_ended()
            if ended:
                self._metrics.worker_ended(worker.slot)
            if not self._signals:
                if ended and not self._announced:
                    return worker
                if ended:
                    worker.plan_restart()
                worker.start_if_due()
            if now > self._trusted_from:
                worker.kill_if_hung(self._hang_seconds)
        return None

    @property
    def _hang_seconds(self) -> float:
        return self._settings.heartbeat_seconds + _HANG_SECONDS

    def _kill_all(self) -> None:
        for worker in self._workers:
            worker.send(signal.SIGKILL)

    async def _report_failed_start(self, failed: SupervisedWorker) -> int:
        """The first start has failed. The first worker prints the reason, which is mostly the same
        in all: give it time for that.
        """
        first, deadline = self._workers[0], time.monotonic() + _FIRST_FAILURE_SECONDS
        while first.is_running and time.monotonic() < deadline:
            first.has_ended()
            await asyncio.sleep(_TICK_SECONDS)
        if failed.status is None or failed.status <= 0 or first.is_running:
            logger.error("worker %d could not start: status %s", failed.slot, failed.status)
        return failed.status if failed.status and failed.status > 0 else _FAILED

    # ------------------------------------------------------------ the end

    def _end(self, number: signal.Signals) -> None:
        """Called on SIGTERM and SIGINT: the first drains, another one ends at once."""
        self._signals += 1
        if self._signals > 1:
            logger.info("a second signal: the workers end at once")
            self._deadline = time.monotonic() + _FORCED_SECONDS
            for worker in self._workers:
                if worker.is_running:
                    self._spawn(worker.ask("exit", _FORCED_SECONDS))
            return
        self._interrupted = number is signal.SIGINT and not self._announced
        self._deadline = time.monotonic() + self._settings.drain_seconds + _FLUSH_SECONDS
        self._board.start_draining()
        for worker in self._workers:
            worker.send(signal.SIGTERM)

    # ------------------------------------------------------------ questions

    async def _answer(self, question: str) -> Any:
        """The answer to a worker."""
        if question == "metrics":
            return await self._merged_metrics()
        if question == "reload":
            return await self._reload()
        raise ValueError(f"unknown question {question!r}")

    async def _ask_all(self, question: str, seconds: float) -> list[tuple[int, Any]]:
        """The answers of all workers that serve and do answer, with their slots."""
        asked = [worker for worker in self._workers if worker.has_joined]
        answers = await asyncio.gather(*(worker.ask(question, seconds) for worker in asked))
        return [
            (worker.slot, answer)
            for worker, answer in zip(asked, answers, strict=True)
            if answer is not None and worker.is_running
        ]

    async def _merged_metrics(self) -> list[Family]:
        for slot, families in await self._ask_all("metrics", _METRICS_SECONDS):
            self._metrics.update(slot, families)
        families = self._metrics.merged()
        up = [
            ({"worker": str(worker.slot)}, float(self._is_ready(worker)))
            for worker in self._workers
        ]
        for family in families:
            if family["name"] == "unroll_ready":
                family["samples"] = [["unroll_ready", {}, min(value for _, value in up)]]
        restarts = float(sum(worker.restarts for worker in self._workers))
        return [
            *families,
            gauge("unroll_worker_ready", "1 while a worker accepts new requests.", up),
            counter("unroll_worker_restarts", "Workers started again.", [({}, restarts)]),
        ]

    def _is_ready(self, worker: SupervisedWorker) -> bool:
        fresh = self._board.age(worker.slot) <= self._settings.heartbeat_seconds
        return fresh and self._board.state(worker.slot) is WorkerState.SERVING

    def _reload_on_signal(self) -> None:
        logger.info("SIGHUP: all workers compare the folder of models")
        self._spawn(self._reload())

    async def _reload(self) -> dict[str, Any]:
        answers = await self._ask_all("reload", _RELOAD_SECONDS)
        return joined_reports([report for _, report in answers])

    async def _announce(self) -> None:
        """Print the banner of a worker. If standard output cannot be written, go on."""
        banner = await self._workers[0].ask("banner", _METRICS_SECONDS)
        try:
            sys.stdout.write(f"{banner or ''}")
            sys.stdout.flush()
        except (OSError, UnicodeEncodeError) as error:
            logger.warning("standard output cannot be written: %s", error)
            discard_unwritten()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def joined_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One report of what all workers have done: what one of them has loaded, removed or refused
    counts; ``unchanged`` is what none has loaded.
    """
    loaded, removed, unchanged = (
        sorted({name for report in reports for name in report[field]})
        for field in ("loaded", "removed", "unchanged")
    )
    refused = {name: why for report in reports for name, why in report["refused"].items()}
    return {
        "loaded": loaded,
        "removed": removed,
        "unchanged": [name for name in unchanged if name not in loaded],
        "refused": refused,
        "error": next((report["error"] for report in reports if report["error"]), None),
    }
