"""JSON Schema in words: the type, the bounds and the default of a field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from docs.generate.markdown import code

Schema = Mapping[str, Any]
REFERENCE = "#/components/schemas/"
_UNITS = {"string": "characters", "array": "items"}


def alternatives(schema: Schema) -> list[Schema]:
    """The schemas of which a value meets one; null, which means "not given", is left out."""
    options = schema.get("anyOf", [schema])
    return [option for option in options if option.get("type") != "null"]


def type_of(schema: Schema) -> str:
    """The type with its bounds, such as "integer, 0 to 10"; references become links."""
    return " or ".join(_type_of_one(option) for option in alternatives(schema))


def default_of(schema: Schema) -> str:
    """The default value as inline code; empty where there is none, or where it is null."""
    value = schema.get("default")
    if value is None:
        return ""
    return code(json.dumps(value, ensure_ascii=False))


def _type_of_one(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(REFERENCE)
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    kind = schema.get("type", "any value")
    text = kind
    if kind == "array":
        text = f"array of {_type_of_one(schema.get('items', {}))}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        text = "object"
    bounds = _bounds(schema)
    return f"{text}, {bounds}" if bounds else text


def _bounds(schema: Schema) -> str:
    kind = schema.get("type", "")
    noun = {"string": "Length", "array": "Items"}.get(kind)
    names = (f"min{noun}", f"max{noun}") if noun else ("minimum", "maximum")
    lowest, highest = (schema.get(name) for name in names)
    unit = f" {_UNITS[kind]}" if kind in _UNITS else ""
    parts = []
    if "exclusiveMinimum" in schema:
        parts.append(f"more than {_number(schema['exclusiveMinimum'])}")
    if lowest is not None and highest is not None:
        return f"{_number(lowest)} to {_number(highest)}{unit}"
    if lowest is not None:
        parts.append(f"at least {_number(lowest)}{unit}")
    if highest is not None:
        parts.append(f"at most {_number(highest)}{unit}")
    return ", ".join(parts)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
