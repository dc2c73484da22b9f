"""JSON values to data classes, by the types of their fields.

Unknown fields are ignored, so that a client reads the answers of a newer service. null stands for
the default of a field.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from unroll_client.errors import MalformedAnswerError

T = TypeVar("T")


def decode(kind: type[T], values: Any) -> T:
    """An object of a data class.

    Raises:
        MalformedAnswerError: the value is no JSON object, or lacks a field.
    """
    if not isinstance(values, dict):
        raise MalformedAnswerError(f"expected a JSON object of {kind.__name__}, got {values!r:.80}")
    hints = _hints(kind)  # type: ignore[arg-type]  # classes can be hashed
    known = {
        name: _value(hints[name], values[name]) for name in hints if values.get(name) is not None
    }
    try:
        return kind(**known)
    except TypeError as error:  # a field without a default is missing
        raise MalformedAnswerError(f"{kind.__name__}: {error}") from error


def decode_list(kind: type[T], values: Any) -> list[T]:
    """A list of objects of a data class. Raises MalformedAnswerError."""
    if not isinstance(values, list):
        raise MalformedAnswerError(f"expected a list of {kind.__name__}, got {values!r:.80}")
    return [decode(kind, value) for value in values]


def _value(hint: Any, value: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not types.NoneType)
    if get_origin(hint) is list and dataclasses.is_dataclass(get_args(hint)[0]):
        return decode_list(get_args(hint)[0], value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value)
    return value


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
