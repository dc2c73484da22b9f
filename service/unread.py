"""Clients that do not read what they have asked for: cut off after a time.

ASGI middleware around everything that answers: it holds of errors and metrics as of streams. Bodies
go out in pieces, each of which must be taken in within the time. The server gives a function that
breaks the connection off, the ASGI extension ``unroll.abort``: closing would wait for the client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ClientGoneError
from service.metrics import Metrics

logger = logging.getLogger(__name__)
PIECE_BYTES = 1 << 16
ABORT = "unroll.abort"


class UnreadLimit:
    """``seconds``: the time in which a client must take in the next piece."""

    def __init__(self, app: ASGIApp, *, seconds: float, metrics: Metrics) -> None:
        self._app = app
        self._seconds = seconds
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_in_time(message: Message) -> None:
            for piece in _pieces(message):
                try:
                    async with asyncio.timeout(self._seconds):
                        await send(piece)
                except TimeoutError:
                    self._cut(scope)
                    await asyncio.sleep(0)  # so that the server knows that it is gone
                    raise ClientGoneError from None

        await self._app(scope, receive, send_in_time)

    def _cut(self, scope: Scope) -> None:
        self._metrics.slow_reader("no_progress")
        logger.warning("a client read nothing for %g seconds and was cut off", self._seconds)
        abort = scope.get("extensions", {}).get(ABORT)
        if abort is not None:
            abort()


def _pieces(message: Message) -> Iterator[Message]:
    """A body in pieces. The end of one in several is a message of its own, which the server takes
    only once what stands before it has been read.
    """
    body = message.get("body", b"")
    if len(body) <= PIECE_BYTES:
        yield message
        return
    for begin in range(0, len(body), PIECE_BYTES):
        yield {**message, "body": body[begin : begin + PIECE_BYTES], "more_body": True}
    if not message.get("more_body", False):
        yield {**message, "body": b"", "more_body": False}
