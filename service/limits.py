"""Bounds that the operator sets, applied to a request that is otherwise well formed.

They stand apart from the schemas because a schema is the same everywhere and these are not.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import ApiError
from service.schemas import GenerateRequest
from service.settings import Settings


def check_generate(request: GenerateRequest, settings: Settings) -> None:
    """Refuses more tokens, choices or time than this service gives; raises ApiError 422."""
    _at_most("max_tokens", request.max_tokens, settings.max_tokens)
    _at_most("n", request.n, settings.max_choices)
    check_deadline(request.deadline_ms, settings)
    if request.state is not None:
        _at_most("state", len(request.state), settings.max_state_characters, "characters")


def check_texts(texts: Sequence[str], settings: Settings) -> None:
    """Refuses more texts at once than this service takes; raises ApiError 422."""
    if len(texts) > settings.max_texts:
        message = f"texts: at most {settings.max_texts} texts at once here, got {len(texts)}"
        raise ApiError(422, "invalid_request", message, "texts")


def check_deadline(deadline_ms: int | None, settings: Settings) -> None:
    """Refuses a deadline further away than this service allows; raises ApiError 422."""
    if deadline_ms is not None:
        _at_most("deadline_ms", deadline_ms, settings.max_deadline_ms)


def _at_most(field: str, value: int, limit: int, unit: str = "") -> None:
    if value > limit:
        message = f"{field}: at most {limit} {unit}".rstrip() + f" here, got {value}"
        raise ApiError(422, "invalid_request", message, field)
