"""Bounds of JSON bodies that are checked before parsing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.errors import ApiError
from service.http.json_bounds import MAX_IDS, MAX_VALUES, parse_json


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n", " :\t")])
def test_a_prompt_may_be_a_list_of_many_ids(separators: tuple[str, str]) -> None:
    """Token ids are counted apart from other values, with any white space."""
    value = {"prompt": [*range(MAX_IDS)], "n": 1}
    assert parse_json(json.dumps(value, separators=separators).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt":[' + b"7," * (MAX_IDS + 1) + b"7]}",
        b"[" + b"[1,2]," * (MAX_VALUES + 1) + b"0]",
        b"[" + b"1.5," * (MAX_VALUES + 1) + b"0]",
        b"[" + b"-1," * (MAX_VALUES + 1) + b"0]",
        b"[" + b'"a",' * (MAX_VALUES + 1) + b"0]",
        b"[" + b"12345678901," * (MAX_VALUES + 1) + b"0]",
    ],
    ids=["ids", "lists", "numbers", "negative", "texts", "long"],
)
def test_too_many_values_are_refused(body: bytes) -> None:
    """A list of other values, or of more ids than any prompt has, is refused before parsing."""
    with pytest.raises(ApiError) as refusal:
        parse_json(body)
    assert refusal.value.status_code == 422


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


@given(values)
def test_other_bodies_are_parsed(value: object) -> None:
    """A long body within the bounds has the value that the parser gives."""
    body = json.dumps([value, " " * 5_000]).encode()
    assert parse_json(body) == [value, " " * 5_000]


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
