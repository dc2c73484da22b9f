"""One request and its response, in the terms of ASGI.

The head of a response is sent with the first part of its body, in one write. The exchange does no
input or output: it writes through its connection, which feeds it the body.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl

from service.http.errors import ClientGoneError
from service.protocol.errors import Header, InvalidRequestError, response_head
from service.protocol.request_head import RequestHead

logger = logging.getLogger(__name__)
_BAD_NAME = re.compile(rb"[^!#$%&'*+\-.^_`|~0-9A-Za-z]")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_WITHOUT_BODY = frozenset({204, 304})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Owner(Protocol):
    """The part of a connection that an exchange uses."""

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""

    def may_persist(self) -> bool:
        """Whether the connection can take another request after this response."""

    def body_taken(self) -> None:
        """The application has read the available body, or waits for more."""

    def exchange_ended(self) -> None:
        """The response is complete."""

    def exchange_failed(self) -> None:
        """The response cannot be completed."""


class Exchange:
    """The connection feeds the body; the application calls ``receive`` and ``send``."""

    def __init__(
        self, owner: Owner, flow: FlowControl, head: RequestHead, default_headers: Iterable[Header]
    ) -> None:
        self._owner = owner
        self._flow = flow
        self._line = head.line
        self._default_headers = default_headers
        self._body = bytearray()
        self._more_body = head.length != 0
        self._changed = asyncio.Event()
        self._delivered = False
        self._half_closed = False
        self._expects_continue = head.expects_continue
        self._head = b""
        self._has_body = False
        self._chunked = False
        self._unsent: int | None = None
        self.keep_alive = head.keep_alive
        self.gone = False
        self.started = False
        self.complete = False

    # ------------------------------------------------------------ for the connection

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client may be waiting for a 100 before it sends the body."""
        return self._expects_continue

    @property
    def buffered(self) -> int:
        """Bytes of the body that the application has not read."""
        return len(self._body)

    def feed(self, data: bytes, *, last: bool) -> None:
        """Add the next part of the body."""
        self._body += data
        self._more_body = not last
        self._expects_continue = False
        self._changed.set()

    def half_close(self) -> None:
        """The client has closed its sending side. It may be gone, or still read."""
        self._half_closed = True
        self._changed.set()

    def abandon(self) -> None:
        """Report a disconnect to the application: the client is gone or gets no further
        response.
        """
        self.gone = True
        self._changed.set()

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application, and respond with an error if it fails."""
        try:
            await app(scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._owner.exchange_failed()
            raise
        except BaseException:
            logger.exception("the application failed")
        if self.complete or self.gone:
            return
        if self.started or self._half_closed:
            self._owner.exchange_failed()
            return
        message = "the service failed; its log has the cause"
        body = InvalidRequestError(500, message).response(with_body=self._line.method != "HEAD")
        self.started = self.complete = True
        self.keep_alive = False
        self._owner.write(body)
        self._owner.exchange_ended()

    # ------------------------------------------------------------ for the application

    async def receive(self) -> Message:
        """The body in parts, then the disconnect, once it has happened or the response is
        complete.
        """
        if self._expects_continue and not (self.gone or self.started):
            self._expects_continue = False
            self._owner.write(_CONTINUE)
        while not (self.gone or self.complete):
            if not self._delivered and (self._body or not self._more_body):
                return self._next_part()
            if self._half_closed:
                break
            self._owner.body_taken()
            self._changed.clear()
            await self._changed.wait()
        return {"type": "http.disconnect"}

    def _next_part(self) -> Message:
        body = bytes(self._body)
        self._body.clear()
        self._delivered = not self._more_body
        return {"type": "http.request", "body": body, "more_body": self._more_body}

    async def send(self, message: Message) -> None:
        """Accept the head, then the body in parts; wait while the client does not read."""
        await self._drain()
        if not self.started and message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
        elif self.started and not self.complete and message["type"] == "http.response.body":
            await self._send_body(
                message.get("body", b""), last=not message.get("more_body", False)
            )
        else:
            raise RuntimeError(f"unexpected ASGI message {message['type']!r}")

    async def _send_body(self, body: bytes, *, last: bool) -> None:
        """Send a body in pieces, so that the transport does not copy all of it."""
        last_piece = max(0, len(body) - 1) // HIGH_WATER_LIMIT * HIGH_WATER_LIMIT
        for begin in range(0, last_piece, HIGH_WATER_LIMIT):
            self._write(body[begin : begin + HIGH_WATER_LIMIT], last=False)
            await self._drain()
        self._write(body[last_piece:], last=last)

    async def _drain(self) -> None:
        """Wait until the client has read enough. Raises ClientGoneError after a disconnect."""
        if self._flow.write_paused and not self.gone:
            await self._flow.drain()
        if self.gone:
            raise ClientGoneError

    def _start(self, status: int, headers: list[Header]) -> None:
        """Choose the framing of the body and build the head."""
        lines = [*self._default_headers]
        length = None
        for name, value in headers:
            if _BAD_NAME.search(name) or _BAD_VALUE.search(value):
                raise RuntimeError(f"the response header {name!r} is not valid")
            lowered = name.lower()
            if lowered == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            if lowered == b"content-length":
                length = int(value)
            lines.append((lowered, value))
        self._has_body = self._line.method != "HEAD" and status not in _WITHOUT_BODY
        self._unsent = length
        if self._has_body and length is None:
            if self._line.version == "1.1":
                self._chunked = True
                lines.append((b"transfer-encoding", b"chunked"))
            else:  # HTTP/1.0 has no chunks: the end of the connection ends the body
                self.keep_alive = False
        self.keep_alive = self.keep_alive and self._owner.may_persist()
        if not self.keep_alive:
            lines.append((b"connection", b"close"))
        elif self._line.version == "1.0":
            lines.append((b"connection", b"keep-alive"))
        self._head = response_head(status, lines)
        self.started = True

    def _write(self, body: bytes, *, last: bool) -> None:
        if not self._has_body:
            body = b""
        elif self._chunked:
            body = _chunk(body, last=last)
        elif self._unsent is not None:
            self._unsent -= len(body)
            if self._unsent < 0 or (last and self._unsent):
                raise RuntimeError("the response does not have the length of its Content-Length")
        if self._head or body:
            self._owner.write(self._head + body)
            self._head = b""
        if last:
            self.complete = True
            self._changed.set()
            self._owner.exchange_ended()


def _chunk(data: bytes, *, last: bool) -> bytes:
    framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return framed + b"0\r\n\r\n" if last else framed
