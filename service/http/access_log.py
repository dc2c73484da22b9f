"""ASGI middleware for request ids, traces, the access log, metrics, and unhandled errors."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.errors import is_panic
from service.backend.metrics import OTHER_ROUTE, Metrics
from service.http.errors import ClientGoneError, internal_error
from service.telemetry.request_record import CURRENT, HEADER, RequestRecord, request_id_of
from service.telemetry.tracing import Tracing

logger = logging.getLogger("unroll.access")
_LONGEST_PATH = 200
_LONGEST_BODY = 4096
_UNSAFE = re.compile(r"[^\x21-\x7e]")
CLIENT_GONE = 499  # nginx's status for a client that closed the connection before the response


class RouteLabels:
    """Maps paths to metric labels: a label for each known route and one for all others.

    Unknown paths must not become labels, since Prometheus keeps every label forever.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.labels = sorted(set(paths))
        self._fixed = {path for path in self.labels if "{" not in path}
        self._patterns = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path.replace("{path:path}", ".*"))), path)
            for path in self.labels
            if "{" in path
        ]

    def label(self, path: str) -> str:
        """The label of a request's path."""
        if path in self._fixed:
            return path
        for pattern, label in self._patterns:
            if pattern.fullmatch(path):
                return label
        return OTHER_ROUTE


class AccessLogMiddleware:
    """Gives every request an id, which the response has as X-Request-ID; logs, measures and traces
    it. ``log_texts``: the line has the beginning of the body.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: Metrics,
        routes: RouteLabels,
        access_log: bool,
        tracing: Tracing | None = None,
        log_texts: bool = False,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes
        self._tracing = tracing
        self._access_log = access_log
        self._log_texts = log_texts and access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = CLIENT_GONE  # unless a response starts
        route, headers = self._routes.label(scope["path"]), scope["headers"]
        record = RequestRecord(request_id_of(headers))
        CURRENT.set(record)  # the connection runs each request in a task, with a context of its own
        if self._tracing is not None:
            record.trace = self._tracing.begin(scope["method"], route, headers)
        body = bytearray()

        async def send_and_record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (HEADER, record.id.encode("ascii"))
                message = {**message, "headers": [*message.get("headers", ()), own]}
            await send(message)

        try:
            source = _copying(receive, body) if self._log_texts else receive
            await self._app(scope, source, send_and_record_status)
        except ClientGoneError:
            status = CLIENT_GONE
        finally:
            self._metrics.request(route, status, time.perf_counter() - started)
            if record.trace is not None:
                record.trace.end(status, record.id)
            if self._access_log:
                _log(scope, record, route, status, time.perf_counter() - started, body)


class InternalErrorMiddleware:
    """Answers 500 to unhandled exceptions and logs them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_record_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_record_start)
        except ClientGoneError:
            raise
        except BaseException as error:
            if scope["type"] != "http" or not (isinstance(error, Exception) or is_panic(error)):
                raise
            logger.exception("%s failed", _request_line(scope))
            if started:  # too late for another status: the connection is closed
                raise
            await internal_error().response()(scope, receive, send)


def _log(
    scope: Scope, record: RequestRecord, route: str, status: int, seconds: float, body: bytearray
) -> None:
    client, method, path = _request_line(scope).split(" ")
    fields: dict[str, Any] = {
        "request_id": record.id,
        "client": client,
        "method": method,
        "path": path,
        "route": route,
        "status": status,
        "seconds": round(seconds, 6),
    }
    if record.model is not None:
        fields["model"] = record.model
    if record.trace is not None:
        fields["trace_id"] = record.trace.trace_id
    line, more = f"{client} {method} {path} {status} {1000 * seconds:.1f} ms", f"id={record.id}"
    if body:
        fields["body"] = body.decode("utf-8", "replace")
        more += f" body={fields['body']}"
    logger.info("%s %s", line, more, extra={"fields": fields})


def _copying(receive: Receive, body: bytearray) -> Receive:
    """A ``receive`` that copies the beginning of the body."""

    async def receive_and_copy() -> Message:
        message = await receive()
        body.extend(message.get("body", b"")[: _LONGEST_BODY - len(body)])
        return message

    return receive_and_copy


def _request_line(scope: Scope) -> str:
    """Client, method and path as they were sent, on one line for any input."""
    client = scope["client"][0] if scope.get("client") else "-"
    path = scope.get("raw_path", b"").decode("ascii", "replace")[:_LONGEST_PATH]
    parts = [client, scope["method"], path]
    if _UNSAFE.search("".join(parts)):
        parts = [_UNSAFE.sub("?", part) for part in parts]
    return " ".join(parts)
