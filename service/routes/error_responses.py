"""The documentation of errors: their shape, and the meaning of each status."""

from __future__ import annotations

from typing import Any

from service.http.schemas import ErrorResponse

_MEANINGS = {
    400: "The body is not JSON in UTF-8, `state` is damaged or signed with another key, or `regex` "
    "or `choices` cannot constrain the text; `param` names the field.",
    401: "The service requires an API key and no valid one was sent.",
    404: "No model has that name.",
    408: "The body did not arrive in time.",
    409: "The model is of the wrong kind, or `state` belongs to another model or format.",
    413: "The body is too large.",
    415: "The body is not declared as application/json, or it is compressed.",
    422: "A field is missing, unknown, of the wrong type or out of bounds; `param` names it.",
    429: "The queue is full; retry after `Retry-After` seconds.",
    503: "The service is draining or not ready, or the model cannot be inspected.",
    504: "`deadline_ms` passed before there was a result.",
}

Responses = dict[int | str, dict[str, Any]]


def errors(*statuses: int) -> Responses:
    """OpenAPI entries for these statuses."""
    return {
        status: {"model": ErrorResponse, "description": _MEANINGS[status]} for status in statuses
    }


WORK_ERRORS = errors(*_MEANINGS)
"""All errors of a route that runs a model."""
