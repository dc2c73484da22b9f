"""One slot of the supervisor: a worker's process, and when it is started again."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from service.supervisor.board import Board, WorkerState
from service.supervisor.channel import Answerer, Channel, ChannelClosedError
from service.supervisor.launch import describe_status, launch

logger = logging.getLogger(__name__)
_FIRST_DELAY_SECONDS = 0.1
_LONGEST_DELAY_SECONDS = 30.0
_STABLE_SECONDS = 60.0
"""A worker that served for so long starts again without a longer delay than the first."""


class SupervisedWorker:
    """``answer`` gets the worker's questions."""

    def __init__(
        self,
        slot: int,
        command: Sequence[str],
        listeners: Sequence[socket.socket],
        board: Board,
        state_key: str,
        answer: Answerer,
    ) -> None:
        self.slot = slot
        self.restarts = 0
        self.status: int | None = None
        """The return code of the last process that has ended."""
        self._command = command
        self._listeners = listeners
        self._board = board
        self._state_key = state_key
        self._answer = answer
        self._process: subprocess.Popen[bytes] | None = None
        self._channel = Channel(answer)
        self._running: asyncio.Task[None] | None = None
        self._failures = 0
        self._started = 0.0
        self._start_again = 0.0

    @property
    def is_running(self) -> bool:
        """Whether its process exists."""
        return self._process is not None

    @property
    def has_joined(self) -> bool:
        """Whether its process has loaded its models and accepts connections."""
        return self.is_running and self._board.state(self.slot) >= WorkerState.SERVING

    def start(self) -> None:
        """Start a process. Raises OSError."""
        self._board.set_state(self.slot, WorkerState.STARTING)
        self._process, end = launch(
            self._command, self.slot, self._listeners, self._board, self._state_key
        )
        self._started = time.monotonic()
        self._channel = Channel(self._answer)
        self._running = asyncio.create_task(self._channel.run(end))

    def has_ended(self) -> bool:
        """Whether its process has ended since the last call; then :attr:`status` is set."""
        if self._process is None or (status := self._process.poll()) is None:
            return False
        self.status = status
        self._process = None
        self._board.set_state(self.slot, WorkerState.ENDED)
        return True

    def plan_restart(self) -> None:
        """Let :meth:`start_if_due` start a process, later the more often that was in vain."""
        now = time.monotonic()
        self._failures = 0 if now - self._started >= _STABLE_SECONDS else self._failures + 1
        exponent = min(max(self._failures - 1, 0), 16)
        delay = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2**exponent)
        self._start_again = now + delay
        ending = describe_status(self.status or 0)
        logger.error("worker %d %s; it starts again in %g seconds", self.slot, ending, delay)

    def start_if_due(self) -> None:
        """Start a planned process once its time has come."""
        if self._process is None and time.monotonic() >= self._start_again:
            self.restarts += 1
            try:
                self.start()
            except OSError as error:
                logger.error("worker %d cannot be started: %s", self.slot, error)
                self.status = 1
                self.plan_restart()

    def kill_if_hung(self, seconds: float) -> None:
        """Kill a process whose event loop has not moved for so long."""
        if self.has_joined and self._board.age(self.slot) > seconds:
            logger.critical(
                "worker %d has not moved for %g seconds and is killed", self.slot, seconds
            )
            self.send(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        """Send its process a signal, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)

    async def ask(self, question: str, seconds: float) -> Any:
        """The answer of its process; None if it does not answer, which is logged."""
        try:
            return await self._channel.ask(question, seconds)
        except (ChannelClosedError, TimeoutError) as error:
            logger.warning("worker %d did not answer (%s): %s", self.slot, question, error)
            return None
