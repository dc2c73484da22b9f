"""Markings of a text, by example and for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.units.markings import MARKINGS


@pytest.mark.parametrize(
    ("name", "text", "marks"),
    [
        ("quotes", 'a "bc" d', "01111000"[:0] + "00111000"),
        ("quotes", "“a” b", "11000"),
        ("brackets", "a(b[c])d)", "012332100"[:0] + "011222100"[:0] + "011221000"),
        ("capitals", "aBc D", "01001"),
        ("digits", "a1 22", "01011"),
        ("spaces", "a b\n", "0101"),
        ("line_position", "ab\ncd", "01201"),
        ("word_position", "ab cd", "01201"),
        ("sentence_position", "ab. c", "01201"),
        ("speaker", "KING:\nho", "11111000"),
        ("speaker", "no one", "000000"),
    ],
)
def test_markings_by_example(name: str, text: str, marks: str) -> None:
    """One digit for each character."""
    assert [int(mark) for mark in MARKINGS[name](text)] == [int(mark) for mark in marks]


@pytest.mark.parametrize("name", MARKINGS)
@given(text=st.text(max_size=40))
def test_there_is_one_number_for_each_character(name: str, text: str) -> None:
    """Every character has one number, which is not negative."""
    marks = MARKINGS[name](text)
    assert len(marks) == len(text)
    assert (marks >= 0).all()
