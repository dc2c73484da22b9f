"""The error responses of a connection, sent without the application."""

from __future__ import annotations

import http
import json
from collections.abc import Iterable

from service.http.errors import error_body

_NAMES = {
    400: "invalid_http",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "too_large",
    417: "expectation_failed",
    431: "headers_too_large",
    500: "internal_error",
    501: "not_implemented",
    503: "too_many_connections",
    505: "version_not_supported",
}

Header = tuple[bytes, bytes]


class InvalidRequestError(Exception):
    """The request is refused and the connection closes. The message has no bytes of the client."""

    def __init__(self, status: int, message: str, headers: Iterable[Header] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = tuple(headers)

    @property
    def type(self) -> str:
        """The machine-readable name of the error."""
        return _NAMES[self.status]

    def response(self, *, default_headers: Iterable[Header] = (), with_body: bool = True) -> bytes:
        """The complete response, which closes the connection."""
        body = json.dumps(error_body(self.type, str(self))).encode()
        headers = [
            *default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            *self.headers,
            (b"connection", b"close"),
        ]
        return response_head(self.status, headers) + (body if with_body else b"")


def response_head(status: int, headers: Iterable[Header]) -> bytes:
    """Status line and header lines, with the empty line after them."""
    parts = [_STATUS_LINES[status]]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


_STATUS_LINES = {status: _status_line(status) for status in range(200, 600)}
