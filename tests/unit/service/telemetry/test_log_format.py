"""Log records as lines of JSON."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.log_format import JsonFormatter
from service.telemetry.request_record import CURRENT, RequestRecord

TEXTS = st.text(st.characters(exclude_categories=()))


def formatted(message: str, *arguments: object, **more: Any) -> dict[str, Any]:
    """The object that the formatter writes on one line."""
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, message, arguments, None)
    for name, value in more.items():
        setattr(record, name, value)
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    entry: dict[str, Any] = json.loads(line)
    return entry


@given(TEXTS, TEXTS)
def test_any_text_stays_on_one_line(message: str, path: str) -> None:
    """Messages and fields of any characters, lone surrogates included, come back unchanged."""
    entry = formatted("%s", message, fields={"path": path})
    assert (entry["message"], entry["path"]) == (message, path)
    assert (entry["level"], entry["logger"]) == ("error", "x")
    assert "request_id" not in entry


def test_an_error_within_a_request_has_its_id() -> None:
    """The record has the id of the request, and the traceback in one field."""
    token = CURRENT.set(RequestRecord("abc"))
    try:
        raise ValueError("two\nlines")
    except ValueError:
        entry = formatted("failed", exc_info=sys.exc_info())
    finally:
        CURRENT.reset(token)
    assert entry["request_id"] == "abc"
    assert entry["traceback"].endswith("ValueError: two\nlines")


def test_values_that_json_does_not_know_are_written_as_text() -> None:
    """A record is not lost because of the type of a field."""
    assert formatted("x", fields={"value": {1}.__class__})["value"] == "<class 'set'>"
