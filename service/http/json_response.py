"""Whole responses in JSON, written in slices so that a large one does not block other requests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.backend.async_engine import Reply
from service.engine.api.tasks import Event
from service.http.errors import ClientGoneError

SLICE_BYTES = 1 << 15
"""Bytes written per turn of the event loop: about a millisecond of work."""
ELEMENTS_PER_WRITE = 32
"""Elements of a list that are encoded together."""
Element = TypeVar("Element")
_writing = asyncio.Lock()  # held by the response that writes in this turn


class TaskResponse(Response):
    """Waits for the end of a task and sends the body that ``write`` makes of its events.

    The reply stays open until the client has received the response, so its memory stays reserved.
    """

    media_type = "application/json"

    def __init__(self, reply: Reply, write: Callable[[list[Event]], Iterable[bytes]]) -> None:
        super().__init__()
        self._reply = reply
        self._write = write

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        async with self._reply:
            # A task that the event loop runs at once ends before the client can be missed.
            if not await self._reply.first_turn():
                await self._finished(receive)
            events = await self._reply.answer()
            slices = [slice_ async for slice_ in between_turns(slices_of(self._write(events)))]
            events.clear()
            await self._send(slices, send)

    async def _finished(self, receive: Receive) -> None:
        """Wait for the end of the task. Raises ClientGoneError if the client leaves before."""
        async with cancelled_when_gone(self._reply, receive):
            await self._reply.answer()
            if self._reply.cancelled:
                raise ClientGoneError

    async def _send(self, slices: Sequence[bytes], send: Send) -> None:
        headers = [
            (b"content-length", str(sum(map(len, slices))).encode()),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if len(slices) > 1:  # the end is sent once the client has received the rest
            slices = [*slices, b""]
        for index, slice_ in enumerate(slices, start=1):
            more = index < len(slices)
            await send({"type": "http.response.body", "body": slice_, "more_body": more})


def array(
    members: Sequence[Element], write: Callable[[Sequence[Element]], bytes]
) -> Iterator[bytes]:
    """A JSON list in parts. ``write`` encodes a list of some of the elements."""
    yield b"["
    for begin in range(0, len(members), ELEMENTS_PER_WRITE):
        if begin:
            yield b","
        yield write(members[begin : begin + ELEMENTS_PER_WRITE])[1:-1]
    yield b"]"


def slices_of(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts joined to slices of about ``SLICE_BYTES``; at least one."""
    slice_ = bytearray()
    for part in parts:
        slice_ += part
        if len(slice_) >= SLICE_BYTES:
            yield bytes(slice_)
            slice_.clear()
    yield bytes(slice_)


async def between_turns(slices: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The slices: the first at once, each further one in a turn of the event loop in which no
    other response writes.
    """
    remaining = iter(slices)
    slice_ = next(remaining, None)
    while slice_ is not None:
        yield slice_
        async with _writing:
            await asyncio.sleep(0)
            slice_ = next(remaining, None)


@asynccontextmanager
async def cancelled_when_gone(reply: Reply, receive: Receive) -> AsyncIterator[None]:
    """Cancel the reply when the client closes the connection within this context."""
    watcher = asyncio.create_task(_cancel_when_gone(reply, receive))
    try:
        yield
    finally:
        watcher.cancel()


async def _cancel_when_gone(reply: Reply, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reply.cancel()
