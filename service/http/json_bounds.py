"""Bounds of a JSON text that are checked before it is parse_json.

The parser makes an object of everything, which for a megabyte of brackets or digits takes longer
than others can wait. No request holds more than some hundred values, so the tokens outside of
strings are counted first. What is not JSON at all is left to the parser to tell.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from service.http.errors import ApiError

MAX_VALUES = 10_000  # more than the texts, fields and stop strings of any request
MAX_FIELDS = 100
MAX_DEPTH = 100
MAX_NUMBER_LENGTH = 1_000
SHORT_BYTES = 1 << 12  # too short to take time
_SPACE = b" \t\r\n:"
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]|[^\[\]{},"]+', re.DOTALL)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8; raises ApiError."""
    encoding = json.detect_encoding(body)  # by a byte order mark or by where zeros are
    if not encoding.startswith("utf-8"):
        name = encoding[:6].upper()
        raise bad_json(f"the body is encoded in {name}; send the JSON in UTF-8")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise bad_json(f"the body is not UTF-8: byte {error.start} is wrong") from error
    if len(body) > SHORT_BYTES:
        _check_bounds(body)
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg}, at character {error.pos}"
        raise bad_json(message) from error
    except RecursionError as error:
        raise bad_json("the body is nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise bad_json("the body holds a number that is too long") from error


def bad_json(message: str) -> ApiError:
    """The refusal of a body that is not the JSON it should be."""
    return ApiError(400, "invalid_json", message)


def _check_bounds(body: bytes) -> None:
    depth = values = 0
    for found in _TOKEN.finditer(body):
        first = body[found.start()]
        if first in b"[{":
            depth += 1
            values += 1
        elif first in b"]}":
            depth -= 1
        elif first == ord(","):
            values += 1
        elif first != ord('"') and len(found[0].strip(_SPACE)) > MAX_NUMBER_LENGTH:
            raise bad_json("the body holds a number that is too long")
        if depth > MAX_DEPTH:
            raise bad_json("the body is nested too deeply")
        if values > MAX_VALUES:
            message = f"the body holds more than {MAX_VALUES} values; no request has so many"
            raise ApiError(422, "invalid_request", message)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_FIELDS:
        message = f"an object in the body has more than {MAX_FIELDS} fields; no request has so many"
        raise ApiError(422, "invalid_request", message)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise bad_json("an object in the body has the same key twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise bad_json(f"{name} is not JSON")
