"""Bounds of requests that the operator sets, in one table for checks and for the OpenAPI schema.

A field of a request names its bound with ``AtMost``. Fixed bounds are in the schemas themselves.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from service.backend.settings import Settings
from service.http.errors import ApiError
from service.http.request_schemas import (
    AtMost,
    ClassifyRequest,
    GenerateRequest,
    NextWordRequest,
    RequestFields,
    ScoreRequest,
)

_REQUESTS = (GenerateRequest, NextWordRequest, ScoreRequest, ClassifyRequest)
_KEYWORDS = {"integer": "maximum", "string": "maxLength", "array": "maxItems"}


class RequestLimits:
    """The bounds of a running service, by the names that ``AtMost`` uses."""

    def __init__(self, settings: Settings) -> None:
        places = settings.max_rows + settings.max_waiting
        self.values: Mapping[str, int] = {
            "deadline_ms": settings.max_deadline_ms,
            "max_tokens": settings.max_tokens,
            "choices": min(settings.max_choices, settings.max_rows),
            "texts": min(settings.max_texts, places),
            "state_characters": settings.max_state_characters,
        }

    def check(self, request: RequestFields) -> None:
        """Raises ApiError 422 if a field is above its bound."""
        for name, limit in _bounded_fields(type(request)):
            value = getattr(request, name)
            most = self.values[limit]
            size = value if isinstance(value, int | None) else len(value)
            if size is not None and size > most:
                message = f"{name}: expected at most {most}, got {size}"
                raise ApiError(422, "invalid_request", message, name)

    def add_to_schema(self, schema: Mapping[str, Any]) -> None:
        """Add the bounds to an OpenAPI schema."""
        for request in _REQUESTS:
            properties = request.model_json_schema()[
                "properties"
            ]  # FastAPI rounds the numbers in its own
            schema["components"]["schemas"][request.__name__]["properties"] = properties
            for name, limit in _bounded_fields(request):
                for kind in properties[name].get("anyOf", [properties[name]]):
                    keyword = _KEYWORDS.get(kind["type"])
                    if keyword:
                        kind[keyword] = self.values[limit]


@functools.cache
def _bounded_fields(request: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """The names of fields with a bound, and of their bounds."""
    return tuple(
        (name, marker.limit)
        for name, field in request.model_fields.items()
        for marker in _markers(field)
    )


def _markers(field: FieldInfo) -> Iterator[AtMost]:
    """The markers of a field, also of one that may be null."""
    inner = [part for kind in get_args(field.annotation) for part in get_args(kind)]
    return (marker for marker in (*field.metadata, *inner) if isinstance(marker, AtMost))
