"""Request bodies as they come from strangers: large, slow, broken, nested, ambiguous.

``BodyLimitMiddleware`` reads a body whole before anything else happens, within a size and a time;
``JsonRoute`` parses it. Both refuse with the one error shape. Knows no fields.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.backend.workers import WorkerPool
from service.http.errors import ApiError, ClientGoneError
from service.http.json_bounds import parse_json

QUICK_BYTES = 1 << 15
"""The largest body that is parse_json in the event loop: a millisecond or two."""

_LONGEST_CODING = 100


class BodyLimitMiddleware:
    """ASGI middleware: 413 for a body that is too large, 408 for one that takes too long.

    A Content-Length over the limit is refused unread. Otherwise the body is counted while it
    arrives, so that a false or missing Content-Length does not help.
    """

    def __init__(self, app: ASGIApp, *, limit: int, seconds: float) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        try:
            self._check_announced(scope)
            async with asyncio.timeout(self._seconds):
                body = await self._read(receive)
        except TimeoutError:
            message = f"the body did not arrive within {self._seconds:g} seconds"
            headers = {"Connection": "close"}
            error = ApiError(408, "request_timeout", message, headers=headers)
            await error.response()(scope, receive, send)
        except ApiError as error:
            await error.response()(scope, receive, send)
        else:
            await self._app(scope, _replaying(body, receive), send)

    def _check_announced(self, scope: Scope) -> None:
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > self._limit:
                raise self._too_large()

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> ApiError:
        # The connection stays open: closing it on a client that still sends would reset it, and the
        # client would never see this answer. The server reads on and throws away.
        message = f"the body is larger than the {self._limit} bytes this service takes"
        return ApiError(413, "too_large", message)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body that was read, then what follows it: the disconnect."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


class JsonRequest(Request):
    """A request whose JSON is UTF-8, says everything once and holds numbers that are numbers."""

    async def json(self) -> Any:
        body = await self.body()
        if len(body) <= QUICK_BYTES:
            return parse_json(body)
        workers: WorkerPool = self.app.state.context.workers
        return await workers.start(parse_json, body)


class JsonRoute(APIRoute):
    """A route whose body is parse_json by :class:`JsonRequest` and must be declared as JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_body = self.body_field is not None

        async def handle_json(request: Request) -> Response:
            if takes_body:
                _check_content_type(request)
                _check_content_encoding(request)
            return await handle(JsonRequest(request.scope, request.receive))

        return handle_json


def _check_content_type(request: Request) -> None:
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        message = "send JSON, with the header Content-Type: application/json"
        raise ApiError(415, "unsupported_media_type", message)


def _check_content_encoding(request: Request) -> None:
    """Refuses compressed bodies: their size is not known before they are unpacked."""
    declared = ",".join(request.headers.getlist("content-encoding"))
    codings = {coding.strip().lower() for coding in declared.split(",")} - {"", "identity"}
    if codings:
        names = ", ".join(sorted(codings))[:_LONGEST_CODING]
        message = f"Content-Encoding: {names} is not taken; send the body without compression"
        headers = {"Accept-Encoding": "identity"}
        raise ApiError(415, "unsupported_media_type", message, headers=headers)
