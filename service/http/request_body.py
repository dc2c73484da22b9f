"""Reading and parsing of request bodies, with bounds on size and time.

``BodyLimitMiddleware`` reads a body completely before the app runs. ``JsonRoute`` parses it. Both
refuse with the one error shape.
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
from service.http.api_keys import client_of
from service.http.errors import ApiError, ClientGoneError
from service.http.json_bounds import parse_json

QUICK_BYTES = 1 << 15
"""Bytes; larger bodies are parsed in a thread. Parsing this many takes 1 to 2 ms."""

_LONGEST_CODING = 100


class BodyLimitMiddleware:
    """Answers 413 for a body that is too large and 408 for one that takes too long.

    A Content-Length above the limit is refused unread. Otherwise the received bytes are counted, so
    that a wrong or missing Content-Length does not help.
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
            whole: Message = {"type": "http.request", "body": body, "more_body": False}
            await self._app(scope, replaying(whole, receive), send)

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
        # The connection stays open and the server discards the rest: closing it while the client
        # sends would reset it, and the client would never see this response.
        message = f"the body is larger than {self._limit} bytes"
        return ApiError(413, "too_large", message)


def replaying(message: Message, receive: Receive) -> Receive:
    """A ``receive`` that returns a message that was read, then later ones (the disconnect)."""
    pending = [message]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


class JsonRequest(Request):
    """A request whose JSON is strict: UTF-8, unique keys, finite numbers."""

    async def json(self) -> Any:
        body = await self.body()
        if len(body) <= QUICK_BYTES:
            return parse_json(body)
        workers: WorkerPool = self.app.state.context.workers
        return await workers.start(client_of(self), float(len(body)), parse_json, body)


class JsonRoute(APIRoute):
    """A route whose body must be declared as JSON and is parsed by :class:`JsonRequest`."""

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
    """Refuse compressed bodies: their size is unknown before decompression."""
    declared = ",".join(request.headers.getlist("content-encoding"))
    codings = {coding.strip().lower() for coding in declared.split(",")} - {"", "identity"}
    if codings:
        names = ", ".join(sorted(codings))[:_LONGEST_CODING]
        message = f"Content-Encoding: {names} is not supported; send the body without compression"
        headers = {"Accept-Encoding": "identity"}
        raise ApiError(415, "unsupported_media_type", message, headers=headers)
