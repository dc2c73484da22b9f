"""Parsing of JSON with bounds that are checked before parsing.

The parser creates an object for everything, which for a megabyte of brackets or digits blocks other
requests. No valid request has more than some hundred values, apart from token ids, so the tokens
outside of strings are counted first. Malformed JSON is left to the parser.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from service.http.errors import ApiError

MAX_VALUES = 10_000  # more than any valid request has, apart from token ids
MAX_IDS = 1 << 17  # integers in lists; more than the default of --max-prompt-tokens
MAX_FIELDS = 300  # of a logit_bias
MAX_DEPTH = 100
MAX_NUMBER_LENGTH = 1_000
_EXACT = 2.0**53  # whole numbers below it are exact as floats
SHORT_BYTES = 1 << 12  # shorter bodies are parsed without counting
_SPACE = b" \t\r\n:"
_ID = rb"[ \t\r\n]*+[0-9]{1,10}+[ \t\r\n]*+"
_TOKEN = re.compile(
    rb'"(?:[^"\\]++|\\.)*+"?|(?P<ids>%b(?:,%b)++)|[\[\]{},]|[^\[\]{},"]+' % (_ID, _ID), re.DOTALL
)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ApiError."""
    encoding = json.detect_encoding(body)  # by a byte order mark or the positions of zeros
    if not encoding.startswith("utf-8"):
        name = encoding[:6].upper()
        raise bad_json(f"the body is encoded in {name}; send the JSON in UTF-8")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise bad_json(f"the body is not UTF-8: byte {error.start} is invalid") from error
    if len(body) > SHORT_BYTES:
        _check_bounds(body)
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_float=_number,
        )
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg}, at character {error.pos}"
        raise bad_json(message) from error
    except RecursionError as error:
        raise bad_json("the body is nested too deeply") from error
    except ValueError as error:  # an integer of thousands of digits
        raise bad_json("the body has a number that is too long") from error


def bad_json(message: str) -> ApiError:
    """The refusal of a body that is not valid JSON."""
    return ApiError(400, "invalid_json", message)


def _check_bounds(body: bytes) -> None:
    depth = values = ids = 0
    for token in _TOKEN.finditer(body):
        if token["ids"]:
            ids += token[0].count(b",")
            if ids > MAX_IDS:
                raise ApiError(
                    422, "invalid_request", f"the body has more than {MAX_IDS} integers in lists"
                )
            continue
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            values += 1
        elif first in b"]}":
            depth -= 1
        elif first == ord(","):
            values += 1
        elif first != ord('"') and len(token[0].strip(_SPACE)) > MAX_NUMBER_LENGTH:
            raise bad_json("the body has a number that is too long")
        if depth > MAX_DEPTH:
            raise bad_json("the body is nested too deeply")
        if values > MAX_VALUES:
            message = f"the body has more than {MAX_VALUES} values"
            raise ApiError(422, "invalid_request", message)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_FIELDS:
        message = f"an object in the body has more than {MAX_FIELDS} fields"
        raise ApiError(422, "invalid_request", message)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise bad_json("an object in the body has the same key twice")
    return fields


def _number(text: str) -> float | int:
    """1.0 and 1e3 are whole numbers in JSON, and some languages write them so."""
    number = float(text)
    return int(number) if abs(number) < _EXACT and number.is_integer() else number


def _refuse_constant(name: str) -> NoReturn:
    raise bad_json(f"{name} is not JSON")
