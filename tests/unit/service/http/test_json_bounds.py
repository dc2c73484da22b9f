"""JSON with bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.errors import ApiError
from service.http.json_bounds import parse_json


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"1.0", 1), (b"-3.0e2", -300), (b"1e3", 1000), (b"0.5", 0.5), (b"1e300", 1e300)],
)
def test_whole_numbers_may_have_a_fraction_or_an_exponent(text: bytes, expected: float) -> None:
    """JSON has one kind of number: 1.0 is 1. Numbers above 2^53 stay as they are."""
    value = parse_json(text)
    assert value == expected
    assert type(value) is type(expected)


@given(content=st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_refusal(content: bytes) -> None:
    """Nothing but ApiError is raised."""
    try:
        parse_json(content)
    except ApiError as error:
        assert error.status_code in {400, 422}  # noqa: PT017
