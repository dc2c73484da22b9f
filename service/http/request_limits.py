"""Bounds of requests that the operator sets, in one table for checks and for the OpenAPI schema.

A field of a request names its bound with ``AtMost``. Fixed bounds are in the schemas themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from service.backend.settings import Settings
from service.http.errors import ApiError
from service.http.request_schemas import AtMost, RequestFields

_REFERENCE = "#/components/schemas/{model}"
_KEYWORDS = {"integer": "maximum", "string": "maxLength", "array": "maxItems"}
Fields = TypeVar("Fields", bound=RequestFields)


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

    def applied(self, request: Fields) -> Fields:
        """The request, with defaults reduced to their bounds. Raises ApiError 422 if a field that
        was given is above its bound.
        """
        self.check(request)
        reduced = {
            name: self.values[limit]
            for name, limit in _bounded_fields(type(request))
            if name not in request.model_fields_set
            and isinstance(value := getattr(request, name), int)
            and value > self.values[limit]
        }
        return request.model_copy(update=reduced) if reduced else request

    def check(self, request: RequestFields) -> None:
        """Raises ApiError 422 if a field that was given is above its bound."""
        for name, limit in _bounded_fields(type(request)):
            if name not in request.model_fields_set:
                continue
            value = getattr(request, name)
            most = self.values[limit]
            size = value if isinstance(value, int | None) else len(value)
            if size is not None and size > most:
                message = f"{name}: expected at most {most}, got {size}"
                raise ApiError(422, "invalid_request", message, name)

    def add_to_schema(self, schema: Mapping[str, Any]) -> None:
        """Add the bounds to the requests of an OpenAPI schema."""
        described = schema["components"]["schemas"]
        for request in _request_types(RequestFields):
            if request.__name__ in described:  # FastAPI rounds the numbers in its own
                properties = request.model_json_schema(ref_template=_REFERENCE)["properties"]
                described[request.__name__]["properties"] = properties
                self._bound(request, properties)

    def _bound(self, request: type[RequestFields], properties: Mapping[str, Any]) -> None:
        for name, limit in _bounded_fields(request):
            field, most = properties[name], self.values[limit]
            for kind in field.get("anyOf", [field]):
                keyword = _KEYWORDS.get(kind.get("type", ""))
                if keyword:
                    kind[keyword] = most
            if isinstance(field.get("default"), int):
                field["default"] = min(field["default"], most)


def _request_types(base: type[RequestFields]) -> Iterator[type[RequestFields]]:
    for request in base.__subclasses__():
        yield request
        yield from _request_types(request)


def _bounded_fields(request: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The names of fields with a bound, and of their bounds."""
    for name, field in request.model_fields.items():
        for marker in _markers(field):
            yield name, marker.limit


def _markers(field: FieldInfo) -> Iterator[AtMost]:
    """The markers of a field, also of one that may be null."""
    inner = [part for kind in get_args(field.annotation) for part in get_args(kind)]
    return (marker for marker in (*field.metadata, *inner) if isinstance(marker, AtMost))
