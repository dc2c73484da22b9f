"""One connection of the server: reads requests, runs one exchange at a time, writes responses.

It replaces uvicorn's protocols, which lose the body of a request that offers an upgrade, parse that
body as a second request, and bound neither the size of a head nor the time it takes. uvicorn still
runs the event loop, the lifespan and the shutdown. Every state has its own timer:

    before the first request     head_seconds         closed
    within a head                head_seconds         408
    between two requests         keep_alive_seconds   closed
    within a body                (the application)    408
    a response not read          write_seconds        reset
    closed for writing           linger               closed
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from service.protocol.connection_gate import ConnectionGate, GateDecision
from service.protocol.errors import InvalidRequestError
from service.protocol.exchange import Exchange
from service.protocol.request_head import RequestHead
from service.protocol.request_reader import RequestReader

logger = logging.getLogger("unroll.access")
_MOST_WAITING_BYTES = 1 << 16
"""Bytes read ahead of the current request, in addition to the longest head."""
_LONGEST_UNREAD_BODY = 1 << 16
"""Bytes of an unread body that are discarded to keep the connection."""
_SPARE_SECONDS = 1.0
_HEALTH = ("/health/live", "/health/ready")
_RETRY_AFTER = (b"retry-after", b"1")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of a connection, from the settings.

    ``on_stall`` is called when a client that does not read is disconnected.
    """

    head_bytes: int
    head_seconds: float
    body_seconds: float
    write_seconds: float
    access_log: bool
    on_stall: Callable[[], None]


class HttpConnection(asyncio.Protocol):
    """uvicorn creates one for each connection; ``limits`` and ``gate`` are bound beforehand."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
        gate: ConnectionGate,
    ) -> None:
        self._config = config
        self._app = cast("ASGIApp", config.loaded_app)
        self._loop = _loop or asyncio.get_running_loop()
        self._server_state = server_state
        self._app_state = app_state
        self._limits = limits
        self._gate = gate
        self._reader = RequestReader(limits.head_bytes)
        self._exchange: Exchange | None = None
        self._next_turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._spare = False
        self._half_closed = False
        self._closing = False

    # ------------------------------------------------------------ called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._flow = FlowControl(self._transport)
        self._server = get_local_addr(self._transport)
        self._client = _without_mapping(get_remote_addr(self._transport))
        self._scheme = "https" if is_ssl(self._transport) else "http"
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        admission = self._gate.enter(self)
        self._spare = admission is GateDecision.SPARE
        if admission is GateDecision.REFUSED:
            self.turn_away()
        else:
            self._wait(self._head_seconds, self.close_now)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return  # discarded, so that the client can read the response
        self._reader.feed(data)
        if self._next_turn is None:
            self._advance()
        self._regulate_reading()

    def eof_received(self) -> bool:
        """Returns True to keep the connection open for writing while a response is due."""
        self._half_closed = True
        if self._exchange is not None:
            self._exchange.half_close()
        else:
            self._advance()  # starts a request that was sent before the end
        if self._exchange is None:
            self.close_now()
        return self._exchange is not None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._closing = True
        self._server_state.connections.discard(self)
        self._gate.leave(self)
        self._cancel_timer()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        if self._next_turn is not None:
            self._next_turn.cancel()
        if self._exchange is not None:
            self._exchange.abandon()
            self._exchange = None
        self._flow.resume_writing()

    def pause_writing(self) -> None:
        self._flow.pause_writing()
        self._watch_progress(self._transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._flow.resume_writing()
        if self._stall_timer is not None and not self._transport.is_closing():
            self._stall_timer.cancel()
            self._stall_timer = None

    def shutdown(self) -> None:
        """Called by uvicorn at the end: start nothing new, let the current exchange end."""
        if self._exchange is None:
            self.close_now()
        else:
            self._exchange.keep_alive = False

    # ------------------------------------------------------------ called by the exchange

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def may_persist(self) -> bool:
        """Whether the connection can be kept. An unrequested or long rest of a body prevents it."""
        if self._spare or self._closing or self._exchange is None:
            return False
        rest = self._reader.body_rest
        long = rest is None or rest > _LONGEST_UNREAD_BODY
        return not long and not (rest and self._exchange.waits_for_continue)

    def exchange_ended(self) -> None:
        ended, self._exchange = self._exchange, None
        self._gate.became_idle(self)
        self._server_state.total_requests += 1
        if self._closing or ended is None:
            return
        if not ended.keep_alive:
            self._linger()
            return
        if self._reader.buffered:
            self._advance_later()
        else:
            self._wait_for_request()
        self._regulate_reading()

    def body_taken(self) -> None:
        self._regulate_reading()

    def exchange_failed(self) -> None:
        self._exchange = None
        self.close_now()

    # ------------------------------------------------------------ called by the gate and timers

    def close_now(self) -> None:
        self._closing = True
        self._close_transport()

    def turn_away(self) -> None:
        self._write_error(_too_many_connections())
        self.close_now()

    def _head_timed_out(self) -> None:
        message = f"the head did not arrive within {self._limits.head_seconds:g} seconds"
        self._refuse(InvalidRequestError(408, message))

    # ------------------------------------------------------------ reading

    def _advance_later(self) -> None:
        """Continue in a later turn of the event loop."""
        if self._next_turn is None:
            self._next_turn = self._loop.call_soon(self._advance_now)

    def _advance_now(self) -> None:
        self._next_turn = None
        self._advance()
        self._regulate_reading()

    def _regulate_reading(self) -> None:
        """Stop reading while too much data is buffered for the current request.

        Only this method pauses and resumes reading. Without a current exchange, more bytes are
        needed.
        """
        exchange = self._exchange
        waiting = self._reader.buffered + (0 if exchange is None else exchange.buffered)
        is_active = exchange is not None or self._next_turn is not None
        most = self._limits.head_bytes + _MOST_WAITING_BYTES
        if is_active and waiting > most and not self._closing:
            self._flow.pause_reading()
        else:
            self._flow.resume_reading()

    def _advance(self) -> None:
        """Read the rest of a body, then the next request, as far as the bytes reach."""
        try:
            while not self._closing and (self._read_body() and self._read_head()):
                pass
        except InvalidRequestError as error:
            self._refuse(error)

    def _read_body(self) -> bool:
        """Returns True once a new request may start."""
        if not self._reader.body_complete:
            data, complete = self._reader.body()
            if self._exchange is not None and (data or complete):
                self._exchange.feed(data, last=complete)
            if not complete:
                if data and self._reader.buffered:  # very many small chunks
                    self._advance_later()
                return False
            if self._exchange is None:
                self._wait_for_request()
            else:
                self._gate.became_busy(self)
        return self._exchange is None

    def _read_head(self) -> bool:
        """Returns True if a request was started."""
        head = self._reader.head()
        if head is not None:
            self._in_head = False
            self._cancel_timer()
            self._begin(head)
            return True
        if self._half_closed:
            self.close_now()
        elif self._reader.buffered and not self._in_head:
            self._in_head = True
            self._wait(self._head_seconds, self._head_timed_out)
        return False

    def _begin(self, head: RequestHead) -> None:
        if self._spare and self._gate.promote(self):
            self._spare = False
        if self._spare and head.line.path not in _HEALTH:
            self._gate.refused()
            raise _too_many_connections()
        line = head.line
        exchange = Exchange(self, self._flow, head, self._server_state.default_headers)
        scope: Scope = {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": line.version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "root_path": "",
            "method": line.method,
            "path": line.path,
            "raw_path": line.raw_path,
            "query_string": line.query,
            "headers": head.headers,
            "state": self._app_state.copy(),
        }
        self._exchange = exchange
        if self._reader.body_complete:
            self._gate.became_busy(self)
        if self._half_closed:
            exchange.half_close()
        task = self._loop.create_task(exchange.run(self._app, scope))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    @property
    def _head_seconds(self) -> float:
        return _SPARE_SECONDS if self._spare else self._limits.head_seconds

    def _wait_for_request(self) -> None:
        if not self._reader.body_complete:
            self._wait(self._limits.body_seconds, self.close_now)
        elif self._half_closed:
            self.close_now()
        else:
            self._wait(self._config.timeout_keep_alive, self.close_now)

    # ------------------------------------------------------------ refusing and closing

    def _refuse(self, error: InvalidRequestError) -> None:
        """Respond with an error, unless a response has started, and close."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()
        if exchange is None or not exchange.started:
            self._write_error(error)
        self._linger()

    def _write_error(self, error: InvalidRequestError) -> None:
        self.write(error.response(default_headers=self._server_state.default_headers))
        if self._limits.access_log and error.status != 503:
            client = self._client[0] if self._client else "-"
            logger.info("%s refused %d: %s", client, error.status, error)

    def _linger(self) -> None:
        """Close the writing side and discard what arrives for a while.

        Closing at once with unread bytes resets the connection, and the client would lose the
        response (RFC 9112, 9.6).
        """
        self._closing = True
        if self._transport.is_closing():
            return
        if self._half_closed or (self._reader.body_complete and not self._reader.buffered):
            self._close_transport()
            return
        self._reader = RequestReader(0)  # drops the buffered bytes
        self._regulate_reading()
        self._transport.write_eof()
        seconds = _SPARE_SECONDS if self._spare else self._limits.body_seconds
        self._wait(seconds, self._close_transport)

    def _close_transport(self) -> None:
        """Close once everything is sent, as long as the client reads it."""
        self._cancel_timer()
        if not self._transport.is_closing():
            self._transport.close()
            self._watch_progress(self._transport.get_write_buffer_size())

    def _watch_progress(self, unsent: int) -> None:
        """Reset the connection of a client that reads nothing for write_seconds."""
        if self._stall_timer is not None:
            self._stall_timer.cancel()

        def check() -> None:
            left = self._transport.get_write_buffer_size()
            if left >= unsent:
                self._reset_stalled()
            else:
                self._watch_progress(left)

        self._stall_timer = self._loop.call_later(self._limits.write_seconds, check)

    def _reset_stalled(self) -> None:
        self._limits.on_stall()
        logger.warning(
            "a client read nothing for %g seconds and was disconnected", self._limits.write_seconds
        )
        self._transport.abort()

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = self._loop.call_later(seconds, then)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _without_mapping(address: tuple[str, int] | None) -> tuple[str, int] | None:
    """The IPv4 address of a client whose address is mapped to IPv6."""
    if address is None or not address[0].startswith("::ffff:"):
        return address
    mapped = ip_address(address[0])
    ipv4 = mapped.ipv4_mapped if isinstance(mapped, IPv6Address) else None
    return address if ipv4 is None else (str(ipv4), address[1])


def _too_many_connections() -> InvalidRequestError:
    message = "this service has no free connection; retry in a moment"
    return InvalidRequestError(503, message, [_RETRY_AFTER])
