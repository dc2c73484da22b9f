"""A worker's side: its share of the settings, its connections, and the whole service as seen from
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from service.backend.model_updates import UpdateReport
from service.backend.settings import Settings
from service.http.dependencies import ServiceContext
from service.http.errors import ApiError
from service.protocol.connection_gate import ConnectionGate
from service.supervisor.board import Board, WorkerState
from service.supervisor.channel import Channel, ChannelClosedError
from service.supervisor.fair_accept import ConnectionCount, CountingGate, FairListener
from service.supervisor.launch import Inheritance, worker_settings
from service.supervisor.merged_metrics import Family

logger = logging.getLogger(__name__)
RELOAD_SECONDS = 3600.0
METRICS_SECONDS = 10.0


class WorkerProcess:
    """One of several processes. ``inheritance``: what the supervisor has passed to it."""

    def __init__(self, inheritance: Inheritance) -> None:
        self._slot = inheritance.slot
        self._inheritance = inheritance
        self._board = Board(inheritance.board, inheritance.workers)
        self._count = ConnectionCount(self._board, self._slot)
        self._channel = Channel(self._answer)
        self._listeners: list[FairListener] = []
        self._following: asyncio.Task[None] | None = None

    def settings(self, settings: Settings) -> Settings:
        """This worker's share of the settings of the service."""
        return worker_settings(settings, self._slot, self._inheritance.workers)

    def sockets(self, opened: contextlib.ExitStack) -> list[socket.socket]:
        """The sockets that the supervisor has bound."""
        descriptors = self._inheritance.listeners
        return [opened.enter_context(socket.socket(fileno=number)) for number in descriptors]

    def gate(self, limit: int) -> ConnectionGate:
        """The limit on open connections."""
        return CountingGate(limit, self._count)

    def join(
        self,
        context: ServiceContext,
        banner: str,
        sockets: list[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        stop: Callable[[bool], None],
    ) -> None:
        """Accept connections and obey the supervisor. ``stop`` ends the server: at once, or after
        draining.
        """
        self._context = context
        self._banner = f"Workers: {self._board.workers}\n{banner}"
        self._stop = stop
        context.processes.siblings = self
        self.beat()
        self._listeners = [FairListener(each, protocol, self._count) for each in sockets]
        end = socket.socket(fileno=self._inheritance.channel)
        self._following = asyncio.create_task(self._follow(end))

    def beat(self) -> None:
        """The event loop moves: called several times a second."""
        self._board.beat(self._slot)
        ready = bool(self._context.registry.artifacts) and not self._context.engine.draining
        ready = ready and self._is_live()
        self._board.set_state(self._slot, WorkerState.SERVING if ready else WorkerState.UNREADY)

    def close(self) -> None:
        """Accept no more connections."""
        for listener in self._listeners:
            listener.close()

    # ------------------------------------------------------------ the whole service

    def check_live(self) -> None:
        age = self._board.supervisor_age()
        if age > self._context.settings.heartbeat_seconds:
            message = f"the supervisor of the workers has not moved for {age:.1f} seconds"
            raise ApiError(503, "not_live", message)

    def check_ready(self) -> None:
        board = self._board
        if board.draining:
            raise ApiError(503, "draining", "the service is shutting down and takes no new work")
        seconds = self._context.settings.heartbeat_seconds
        ready = sum(
            board.state(slot) is WorkerState.SERVING and board.age(slot) <= seconds
            for slot in range(board.workers)
        )
        if ready < board.workers:
            message = f"{ready} of {board.workers} workers are ready"
            raise ApiError(503, "not_ready", message)

    async def exposition(self) -> bytes:
        families = await self._ask("metrics", METRICS_SECONDS)
        return await asyncio.to_thread(_exposition, families)

    async def reload(self) -> UpdateReport:
        return UpdateReport(**await self._ask("reload", RELOAD_SECONDS))

    # ------------------------------------------------------------ the supervisor

    async def _ask(self, question: str, seconds: float) -> Any:
        try:
            return await self._channel.ask(question, seconds)
        except (ChannelClosedError, TimeoutError) as error:
            message = "the supervisor of the workers does not answer"
            raise ApiError(503, "not_live", message) from error

    async def _follow(self, end: socket.socket) -> None:
        await self._channel.run(end)
        logger.warning("the supervisor of the workers has ended: this worker drains and ends")
        self.close()  # another service may take the port
        self._stop(False)

    async def _answer(self, question: str) -> Any:
        if question == "metrics":
            return await asyncio.to_thread(_families, self._context.metrics.registry)
        if question == "reload":
            return dataclasses.asdict(await self._context.updates.update(at_once=True))
        if question == "banner":
            return self._banner
        if question == "exit":
            return self._stop(True)
        raise ValueError(f"unknown question {json.dumps(question)}")

    def _is_live(self) -> bool:
        return self._context.engine.heartbeat_age() <= self._context.settings.heartbeat_seconds


def _families(registry: Collector) -> list[Family]:
    return [
        {
            "name": metric.name,
            "type": metric.type,
            "help": metric.documentation,
            "samples": [[each.name, each.labels, each.value] for each in metric.samples],
        }
        for metric in registry.collect()
    ]


class _Collected(Collector):
    """Families from other processes."""

    def __init__(self, families: list[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family["name"], family["help"], family["type"])
            metric.samples = [Sample(*sample) for sample in family["samples"]]
            yield metric


def _exposition(families: list[Family]) -> bytes:
    return generate_latest(_Collected(families))
