"""Server-sent events from the bytes of a response.

Lines end at a line feed alone: the texts of events may have other line separators of Unicode
(U+0085, U+2028), at which ``httpx.Response.iter_lines`` would divide them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from unroll_client.errors import MalformedAnswerError

LONGEST_LINE = 2**26  # bytes; an echoed prompt with log-probabilities is one line


class EventLines:
    """A parser of ``data:`` lines that arrive in parts."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[dict[str, Any]]:
        """The events that these bytes complete.

        Raises:
            MalformedAnswerError: a line is not an event of Unroll, or too long.
        """
        begin = len(self._pending)
        self._pending += received
        while (end := self._pending.find(b"\n", begin)) >= 0:
            line = bytes(self._pending[:end])
            del self._pending[: end + 1]
            begin = 0
            if line.startswith(b"data:"):
                yield _event(line.removeprefix(b"data:"))
        if len(self._pending) > LONGEST_LINE:
            raise MalformedAnswerError(f"an event has more than {LONGEST_LINE:,} bytes")


def _event(data: bytes) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise MalformedAnswerError(f"an event is not JSON: {data[:80]!r}") from error
    if not isinstance(event, dict):
        raise MalformedAnswerError(f"expected an event with fields, got {data[:80]!r}")
    return event
