"""The shape of errors below /v1: {"error": {"message", "type", "param", "code"}}.

``OpenAIErrorMiddleware`` rewrites the errors of all inner layers, so that keys, bodies, routing and
the engine need not know of the protocol. Invalid fields are 400 there. A conflict is 400 too, since
clients of the protocol repeat a request after 409.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/v1/"
_BAD_REQUEST = 400
_STATUS = {422: _BAD_REQUEST, 409: _BAD_REQUEST}
_TYPES = {
    "unauthorized": "authentication_error",
    "not_found": "not_found_error",
    "model_not_found": "not_found_error",
    "queue_full": "rate_limit_error",
    "constraint_memory_full": "rate_limit_error",
}
_CODES = {"unauthorized": "invalid_api_key", "queue_full": "rate_limit_exceeded"}


def openai_error(status: int, error: Mapping[str, Any]) -> dict[str, Any]:
    """The body of an error of this service, in the shape of the protocol."""
    default = "server_error" if status >= 500 else "invalid_request_error"
    detail = {
        "message": error["message"],
        "type": _TYPES.get(error["type"], default),
        "param": error["param"],
        "code": _CODES.get(error["type"], error["type"]),
    }
    return {"error": detail}


def remove_422_from_schema(schema: dict[str, Any]) -> None:
    """Remove the status that FastAPI documents for invalid fields, and that is 400 below /v1."""
    for path, operations in schema["paths"].items():
        if path.startswith(PREFIX):
            for operation in operations.values():
                operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)


class OpenAIErrorMiddleware:
    """Rewrites the errors of paths below /v1."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            send = _ErrorSend(send).send
        await self._app(scope, receive, send)


class _ErrorSend:
    """Holds back the head and the body of an error until the body is complete."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._head: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= _BAD_REQUEST:
            self._head = message
            return
        if self._head is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._send_error(self._head)

    async def _send_error(self, head: Message) -> None:
        body = self._rewritten(head)
        headers = [(key, value) for key, value in head["headers"] if key != b"content-length"]
        if self._body:  # a response to HEAD has a length and no body
            headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**head, "status": _status(head), "headers": headers})
        await self._send({"type": "http.response.body", "body": body if self._body else b""})

    def _rewritten(self, head: Message) -> bytes:
        try:
            error = json.loads(self._body)["error"]
            return json.dumps(openai_error(_status(head), error), ensure_ascii=False).encode()
        except (ValueError, KeyError, TypeError):  # not an error of this service
            return self._body


def _status(head: Message) -> int:
    status: int = head["status"]
    return _STATUS.get(status, status)
