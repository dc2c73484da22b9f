"""Questions and answers between the supervisor and a worker, over a pair of sockets.

A message is a line of JSON. Both sides may ask at any time; answers have the number of their
question. The pair is made for one worker and inherited by no other process, so that its end tells
either side at once that the other one has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger(__name__)
_LONGEST_LINE = 1 << 26  # bytes; the metrics of a worker with hundreds of models
Answerer = Callable[[str], Awaitable[Any]]


class ChannelClosedError(Exception):
    """The other process has ended, or could not answer."""


class Channel:
    """One end. ``answer`` gets the name of each question of the other side and returns the answer,
    which is anything that JSON can hold.
    """

    def __init__(self, answer: Answerer) -> None:
        self._answer = answer
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._asked = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, end: socket.socket) -> None:
        """Receive until the other process ends."""
        reader, self._writer = await asyncio.open_unix_connection(sock=end, limit=_LONGEST_LINE)
        try:
            while line := await reader.readline():
                self._receive(json.loads(line))
        except (OSError, ValueError) as error:  # ValueError: a line that is cut off or too long
            logger.debug("a channel between processes ends: %s", error)
        finally:
            self._close()

    async def ask(self, question: str, seconds: float) -> Any:
        """The other side's answer. Raises ChannelClosedError, or TimeoutError after ``seconds``."""
        self._asked += 1
        number = self._asked
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"ask": number, "question": question})
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            self._waiting.pop(number, None)

    def _send(self, message: dict[str, Any]) -> None:
        if self._writer is None or self._writer.is_closing():
            raise ChannelClosedError("the other process has ended")
        self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _receive(self, message: dict[str, Any]) -> None:
        if "ask" in message:
            task = asyncio.create_task(self._reply(message["ask"], message["question"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        waiting = self._waiting.get(message["answer"])
        if waiting is None or waiting.done():
            return
        if "error" in message:
            waiting.set_exception(ChannelClosedError(message["error"]))
        else:
            waiting.set_result(message["value"])

    async def _reply(self, number: int, question: str) -> None:
        reply: dict[str, Any] = {"answer": number}
        try:
            reply["value"] = await self._answer(question)
        except Exception as error:
            logger.exception("the question %r of another process failed", question)
            reply["error"] = f"{type(error).__name__}: {error}"
        with contextlib.suppress(ChannelClosedError):
            self._send(reply)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ChannelClosedError("the other process has ended"))
