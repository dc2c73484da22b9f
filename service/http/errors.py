"""The errors that clients see: one shape, a status, and a message with the remedy.

    {"error": {"type": "...", "message": "...", "param": "..." or null}}

The table below maps the engine's errors to statuses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from service.engine.api.errors import (
    ConcurrencyLimited,
    ConstraintMemoryFull,
    ConstraintsUnavailable,
    DeadlineExceeded,
    DeadlineUnreachable,
    Draining,
    EngineError,
    EngineStalled,
    ForeignState,
    InspectionUnavailable,
    InvalidConstraint,
    InvalidState,
    InvalidTask,
    Overloaded,
    QueueFull,
    RateLimited,
    SlowReaderError,
    StepFailed,
    UnknownModel,
    WrongKind,
)


class ClientGoneError(Exception):
    """The client closed the connection before it had the response."""


_STATUS_AND_TYPE: dict[type[EngineError], tuple[int, str]] = {
    UnknownModel: (404, "model_not_found"),
    WrongKind: (409, "wrong_kind"),
    InvalidTask: (422, "invalid_request"),
    InvalidConstraint: (400, "invalid_constraint"),
    ConstraintsUnavailable: (503, "constraints_unavailable"),
    InvalidState: (400, "invalid_state"),
    ForeignState: (409, "foreign_state"),
    QueueFull: (429, "queue_full"),
    ConstraintMemoryFull: (429, "constraint_memory_full"),
    RateLimited: (429, "rate_limited"),
    ConcurrencyLimited: (429, "concurrency_limited"),
    Draining: (503, "draining"),
    DeadlineExceeded: (504, "deadline_exceeded"),
    DeadlineUnreachable: (504, "deadline_exceeded"),
    EngineStalled: (503, "not_live"),
    InspectionUnavailable: (503, "inspection_unavailable"),
    StepFailed: (500, "internal_error"),
    SlowReaderError: (408, "slow_reader"),
}
_TYPE_OF_STATUS = {404: "not_found", 405: "method_not_allowed"}
_LONGEST_PARAM = 100


class ApiError(HTTPException):
    """A refusal: HTTP status, machine-readable type, message, and the field that caused it."""

    def __init__(
        self,
        status: int,
        type: str,
        message: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.body = error_body(type, message, param)

    def response(self) -> JSONResponse:
        """The refusal as a response."""
        return JSONResponse(self.body, self.status_code, self.headers)


def error_body(type: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The shape of every error."""
    return {"error": {"type": type, "message": message, "param": param}}


def internal_error() -> ApiError:
    """An error 500. The cause is only in the log."""
    return ApiError(500, "internal_error", "the service failed; its log has the cause")


def from_engine(error: EngineError) -> ApiError:
    """The response for an error of the engine, with Retry-After if it has a time."""
    status, name = _STATUS_AND_TYPE.get(error.__class__, (500, "internal_error"))
    param = None
    headers = {}
    if isinstance(error, InvalidTask):
        param = error.field
    elif isinstance(error, InvalidState | ForeignState):
        param = "state"
    elif isinstance(error, UnknownModel | WrongKind):
        param = "model"
    elif isinstance(error, Overloaded):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    elif isinstance(error, Draining | EngineStalled):  # the client connects to another replica
        headers["Connection"] = "close"
    return ApiError(status, name, str(error), param, headers)


def draining() -> ApiError:
    """The error of a stream that is drained and that its protocol cannot continue."""
    return from_engine(Draining())


def response_to(error: ApiError | EngineError) -> JSONResponse:
    """The response for a refusal or a failure."""
    return (error if isinstance(error, ApiError) else from_engine(error)).response()


def from_validation(error: RequestValidationError) -> ApiError:
    """The first invalid field of a request, and the number of further ones."""
    return from_problems(error.errors(), path_start=1)


def from_problems(problems: Sequence[Mapping[str, Any]], path_start: int = 0) -> ApiError:
    """The error for what pydantic has found. ``path_start``: parts of a location to leave out."""
    first = problems[0]
    path = first["loc"][path_start:]
    param = ".".join(str(part)[:_LONGEST_PARAM] for part in path)[:_LONGEST_PARAM]
    message = _validation_message(first["type"], first["msg"], param)
    if len(problems) > 1:
        message += f" (and {len(problems) - 1} more)"
    return ApiError(422, "invalid_request", message, param or None)


def _validation_message(type: str, message: str, param: str) -> str:
    if type == "extra_forbidden":
        return f"{param}: unknown field"
    if type == "missing" and not param:
        return "the body is empty: send a JSON object"
    if type in {"model_type", "model_attributes_type"} and not param:
        return "the body must be a JSON object"
    message = message.removeprefix("Value error, ")
    return f"{param}: {message}" if param else message


def from_framework(error: HTTPException) -> ApiError:
    """The response for an error of the router: unknown paths and methods."""
    name = _TYPE_OF_STATUS.get(error.status_code, "invalid_request")
    message = str(error.detail)
    if error.status_code == 404:
        message = "no such route; GET /docs lists the routes"
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        if "GET" in allowed and "HEAD" not in allowed:
            allowed += ", HEAD"
        message = f"this route does not allow that method; use {allowed}"
        return ApiError(405, name, message, None, {"Allow": allowed})
    return ApiError(error.status_code, name, message, None, error.headers)
