"""Types of fields that the requests of the OpenAI protocol share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, PlainValidator, TypeAdapter, ValidationError

from service.http.request_schemas import Text

_LARGEST_ID = 2**31 - 1
_text = TypeAdapter(Text)

TextOrIds = str | tuple[int, ...]
_FORMS = "expected a string, a list of strings, a list of token ids or a list of lists of token ids"


def _texts_or_ids(value: object) -> tuple[TextOrIds, ...]:
    """The inputs of a request: one string, strings, one list of token ids, or lists of them."""
    if isinstance(value, str):
        return (_checked_text(value),)
    if not isinstance(value, list):
        raise ValueError(_FORMS)
    if not value:
        raise ValueError("the list is empty")
    if all(isinstance(item, str) for item in value):
        return tuple(map(_checked_text, value))
    if all(isinstance(item, list) for item in value):
        return tuple(map(_checked_ids, value))
    return (_checked_ids(value),)


def _checked_text(text: str) -> str:
    try:
        return _text.validate_python(text)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def _checked_ids(items: list[object]) -> tuple[int, ...]:
    ids = tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool))
    if len(ids) < len(items):
        raise ValueError(_FORMS)
    if not ids:
        raise ValueError("a list of token ids is empty")
    if not 0 <= min(ids) <= max(ids) <= _LARGEST_ID:
        raise ValueError("a token id is out of range; GET /models has the vocabulary_size")
    return ids


TextsOrIds = Annotated[
    tuple[TextOrIds, ...],
    PlainValidator(
        _texts_or_ids,
        json_schema_input_type=str | list[str] | list[int] | list[list[int]],
    ),
]


def neutral(*values: object) -> AfterValidator:
    """For a field that is not supported: null and these values change nothing."""

    def check(value: object) -> None:
        if value is not None and value not in values:
            expected = "; ".join(map(repr, values)) or "null"
            raise ValueError(f"not supported; leave it out (it may be {expected})")

    return AfterValidator(check)
