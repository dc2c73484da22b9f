"""The errors of the client.

ClientError
├── RequestRefusedError       the service refused the request (4xx)
│   └── UnauthorizedError     the API key is missing or wrong (401, 403)
├── UnavailableError          the service cannot answer now (5xx), after all retries
│   └── OverloadedError       too many requests (429), after all retries
├── ConnectionFailedError     no replica could be reached, or none answered in time
├── StreamInterruptedError    a stream ended without its end; ``texts`` has what arrived
└── MalformedAnswerError      the answer is not that of Unroll

Each message names the cause; errors of an answer also have its status and type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

LONGEST_EXCERPT = 200  # characters of an answer that is not Unroll's


class ClientError(Exception):
    """Base class of all errors of the client."""


class ConnectionFailedError(ClientError):
    """No replica could be reached, or none answered in time."""


class MalformedAnswerError(ClientError):
    """An answer is not of the form that Unroll sends: another program listens at this address."""


class _AnsweredError(ClientError):
    """An answer with an error.

    Attributes:
        status: the HTTP status.
        type: the type of the error, as in the table of errors.
        param: the field that caused it; None if there is none.
        retry_after: seconds after which the service asks to retry; None if it names no time.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.param = param
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.args[0]} ({self.status} {self.type})"


class RequestRefusedError(_AnsweredError):
    """The service refused the request. Sent again, it is refused again."""


class UnauthorizedError(RequestRefusedError):
    """The API key is missing or wrong."""


class UnavailableError(_AnsweredError):
    """The service cannot answer now: it starts, drains or failed."""


class OverloadedError(UnavailableError):
    """The client has too many requests, or sends them too fast."""


class StreamInterruptedError(ClientError):
    """A stream ended without its end: the connection broke, or the generation failed.

    Attributes:
        texts: the text of each choice that has arrived, by its index.
    """

    def __init__(self, message: str, texts: Mapping[int, str]) -> None:
        super().__init__(message)
        self.texts = dict(texts)


def error_of(status: int, body: bytes, retry_after: float | None) -> ClientError:
    """The error of an answer whose status is not 200."""
    try:
        detail: dict[str, Any] = json.loads(body)["error"]
        message, name, param = str(detail["message"]), str(detail["type"]), detail.get("param")
    except (ValueError, KeyError, TypeError):
        # An answer of a proxy in front of the service.
        excerpt = body.decode(errors="replace")[:LONGEST_EXCERPT].strip()
        message, name, param = excerpt or "an answer without a body", "unknown", None
    kind = _class_of(status)
    return kind(message, status=status, type=name, param=param, retry_after=retry_after)


def _class_of(status: int) -> type[_AnsweredError]:
    if status in (401, 403):
        return UnauthorizedError
    if status == 429:
        return OverloadedError
    return UnavailableError if status >= 500 else RequestRefusedError
