"""Ids of requests."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.request_record import HEADER, LONGEST_ID, request_id_of

MADE = re.compile("[0-9a-f]{32}")
ALLOWED = st.text("azAZ09._~:/+=@-", min_size=1, max_size=LONGEST_ID)


@given(ALLOWED)
def test_a_valid_id_is_taken(sent: str) -> None:
    """The id of the client is kept; the first of several counts."""
    headers = [(b"host", b"x"), (HEADER, sent.encode()), (HEADER, b"second")]
    assert request_id_of(headers) == sent


@given(st.binary(max_size=300))
def test_any_bytes_give_a_bounded_id(sent: bytes) -> None:
    """The id is that of the client or a new one, and always valid in a header."""
    made = request_id_of([(HEADER, sent)])
    assert made.encode() == sent or MADE.fullmatch(made)
    assert re.fullmatch(r"[!-~]{1,128}", made)


def test_made_ids_differ() -> None:
    """Requests without an id get different ones."""
    assert len({request_id_of([]) for _ in range(100)}) == 100
