"""The operator's bounds: refusals, and their place in the OpenAPI schema."""

from __future__ import annotations

from typing import Any

import pytest

from service.backend.settings import Settings
from service.http.errors import ApiError
from service.http.openai.request_schemas import CompletionRequest
from service.http.request_limits import RequestLimits
from service.http.request_schemas import (
    ClassifyRequest,
    GenerateRequest,
    NextWordRequest,
    RequestFields,
    ScoreRequest,
)

SETTINGS = Settings(
    max_tokens=5,
    max_choices=9,
    max_rows=3,
    max_waiting=1,
    max_texts=64,
    max_deadline_ms=1000,
    max_state_characters=4,
)
LIMITS = RequestLimits(SETTINGS)


@pytest.mark.parametrize(
    ("request_type", "field", "within", "above"),
    [
        (GenerateRequest, "max_tokens", 5, 6),
        (GenerateRequest, "n", 3, 4),
        (CompletionRequest, "best_of", 3, 4),
        (GenerateRequest, "state", "abcd", "abcde"),
        (GenerateRequest, "deadline_ms", 1000, 1001),
        (ScoreRequest, "texts", ["a"] * 4, ["a"] * 5),
        (ClassifyRequest, "texts", ["a"] * 4, ["a"] * 5),
    ],
)
def test_a_value_above_its_bound_is_refused(
    request_type: type[RequestFields],
    field: str,
    within: int | str | list[str],
    above: int | str | list[str],
) -> None:
    """The bound itself is allowed; the error names the field, the bound and the value's size."""
    LIMITS.check(request_type.model_validate({field: within}))
    with pytest.raises(ApiError) as refusal:
        LIMITS.check(request_type.model_validate({field: above}))
    size = above if isinstance(above, int) else len(above)
    assert refusal.value.status_code == 422
    assert refusal.value.body["error"]["param"] == field
    assert refusal.value.body["error"]["message"].startswith(f"{field}: expected at most ")
    assert refusal.value.body["error"]["message"].endswith(f"got {size}")


def test_a_default_above_its_bound_is_reduced() -> None:
    """A request without max_tokens is accepted where the default exceeds the bound."""
    assert LIMITS.applied(GenerateRequest(prompt="a")).max_tokens == 5
    assert LIMITS.applied(GenerateRequest(prompt="a", max_tokens=3)).max_tokens == 3
    with pytest.raises(ApiError):
        LIMITS.applied(GenerateRequest(prompt="a", max_tokens=6))


def test_fields_without_a_value_have_no_bound() -> None:
    """A default of None passes every bound."""
    LIMITS.check(ClassifyRequest(text="a"))
    LIMITS.check(NextWordRequest(prompt=""))


def test_the_schema_states_the_bounds() -> None:
    """Numbers, texts and lists get the JSON schema keyword of their type."""
    requests = (GenerateRequest, NextWordRequest, ScoreRequest, ClassifyRequest)
    schema: dict[str, Any] = {
        "components": {"schemas": {request.__name__: {} for request in requests}}
    }
    LIMITS.add_to_schema(schema)
    generate, score = (
        schema["components"]["schemas"][name]["properties"]
        for name in ("GenerateRequest", "ScoreRequest")
    )
    assert bound(generate["max_tokens"], "integer", "maximum") == 5
    assert bound(generate["n"], "integer", "maximum") == 3
    assert bound(generate["state"], "string", "maxLength") == 4
    assert bound(score["texts"], "array", "maxItems") == 4


def bound(field: dict[str, Any], kind: str, keyword: str) -> int:
    """The bound of a field that may be null."""
    kinds = field.get("anyOf", [field])
    return next(int(entry[keyword]) for entry in kinds if entry["type"] == kind)
