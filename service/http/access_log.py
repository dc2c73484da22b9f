"""ASGI middleware for the access log, request metrics, and unhandled errors."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.errors import is_panic
from service.backend.metrics import OTHER_ROUTE, Metrics
from service.http.errors import ClientGoneError, internal_error

logger = logging.getLogger("unroll.access")
_LONGEST_PATH = 200
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
    """Logs and measures every request."""

    def __init__(
        self, app: ASGIApp, *, metrics: Metrics, routes: RouteLabels, access_log: bool
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = routes
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = CLIENT_GONE  # unless a response starts

        async def send_and_record_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_record_status)
        except ClientGoneError:
            status = CLIENT_GONE
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        self._metrics.request(self._routes.label(scope["path"]), status, seconds)
        if self._access_log:
            logger.info("%s %d %.1f ms", _request_line(scope), status, 1000 * seconds)


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


def _request_line(scope: Scope) -> str:
    """Client, method and path as they were sent, on one line for any input."""
    client = scope["client"][0] if scope.get("client") else "-"
    path = scope.get("raw_path", b"").decode("ascii", "replace")[:_LONGEST_PATH]
    parts = [client, scope["method"], path]
    if _UNSAFE.search("".join(parts)):
        parts = [_UNSAFE.sub("?", part) for part in parts]
    return " ".join(parts)
