"""The definition of a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.sequences.word_boundaries import (
    WordProgress,
    first_word,
    last_run,
    unfinished_word,
)


@pytest.mark.parametrize(
    ("text", "reading", "word"),
    [
        ("", WordProgress.BEFORE, ""),
        (" \n", WordProgress.BEFORE, ""),
        (" keys", WordProgress.INSIDE, "keys"),
        ("keys ", WordProgress.OVER, "keys"),
        ("keys,", WordProgress.OVER, "keys"),
        (" don't", WordProgress.INSIDE, "don't"),
        ("don'", WordProgress.INSIDE, "don"),
        ("dogs' ", WordProgress.OVER, "dogs"),
        ("well-known.", WordProgress.OVER, "well-known"),
        ("word--", WordProgress.OVER, "word"),
        (", the", WordProgress.NOT_A_WORD, ""),
        ("'tis", WordProgress.NOT_A_WORD, ""),
        ("नमस्ते ", WordProgress.OVER, "नमस्ते"),
        ("42nd", WordProgress.INSIDE, "42nd"),
    ],
)
def test_first_word(text: str, reading: WordProgress, word: str) -> None:
    """Letters, digits and marks, with single apostrophes and hyphens between them."""
    assert first_word(text) == (reading, word)


@pytest.mark.parametrize(
    ("prompt", "part"),
    [("", ""), ("the ", ""), ("The ke", "ke"), ("don'", "don'"), ("a -b", "b"), ("x--y", "y")],
)
def test_unfinished_word(prompt: str, part: str) -> None:
    """The part of the prompt that belongs to the next word."""
    assert unfinished_word(prompt) == part


def test_last_run() -> None:
    """The part that bpe must spell again."""
    assert [last_run("don't"), last_run("keys"), last_run("don'")] == ["t", "keys", ""]


@given(st.text())
def test_an_unfinished_word_ends_the_text_and_may_go_on(text: str) -> None:
    """For any text, the part is its end and reads as a word that is not over."""
    part = unfinished_word(text)
    assert text.endswith(part)
    assert part == "" or first_word(part).progress is WordProgress.INSIDE
    assert part.endswith(last_run(part))
