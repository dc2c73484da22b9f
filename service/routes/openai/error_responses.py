"""The documentation of errors below /v1."""

from __future__ import annotations

from service.http.openai.schemas import OpenAIErrorResponse
from service.routes.error_responses import Responses

_MEANINGS = {
    400: "A field is missing, unknown, not supported, of the wrong type or out of bounds; `param` "
    "names it. Or the model is of the wrong kind.",
    401: "The service requires an API key and no valid one was sent.",
    404: "No model has that name.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not declared as application/json, or it is compressed.",
    429: "The queue is full; retry after `Retry-After` seconds.",
    503: "The service is draining or not ready.",
    504: "`deadline_ms` passed before there was a result.",
}


def openai_errors(*statuses: int) -> Responses:
    """OpenAPI entries for these statuses."""
    return {
        status: {"model": OpenAIErrorResponse, "description": _MEANINGS[status]}
        for status in statuses
    }


OPENAI_ERRORS = openai_errors(*_MEANINGS)
"""All errors of a route that runs a model."""
