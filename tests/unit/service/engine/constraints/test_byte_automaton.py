"""Automata of expressions and choices against Python's re, and expressions that are refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.engine.constraints.byte_automaton import (
    ByteAutomaton,
    InvalidPatternError,
    TooComplexError,
    of_choices,
    of_regex,
)
from tests.support.service.constraints import bytes_automaton, regexes

LETTERS = "abé"


def accepts(automaton: ByteAutomaton, text: str) -> bool:
    """Whether the automaton accepts the whole text."""
    state = 0
    for byte in text.encode():
        state = int(automaton.next_SC[state, automaton.class_of[byte]])
        if state < 0:
            return False
    return bool(automaton.accepting_S[state])


@settings(max_examples=150, deadline=None)
@given(regexes(LETTERS), st.lists(st.text(LETTERS + "c\n", max_size=6), min_size=5, max_size=5))
@example("a|ab", ["a", "ab", "b", "", "abb"])
@example("(?:a|ab)(?:c|bcd)?", ["abcd", "ac", "abc", "a", "abbcd"])
def test_expressions_match_whole_texts_as_re_does(regex: str, texts: list[str]) -> None:
    """Every text is accepted if and only if re.fullmatch accepts it: alternatives are not cut."""
    automaton = bytes_automaton(regex)
    for text in texts:
        assert accepts(automaton, text) == bool(re.fullmatch(regex, text)), text


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(LETTERS, min_size=1, max_size=5), min_size=1, max_size=6), st.text(LETTERS))
def test_choices_accept_themselves_alone(choices: list[str], other: str) -> None:
    """A choice that another one begins with is accepted, too."""
    automaton = of_choices(choices)
    assert all(accepts(automaton, choice) for choice in choices)
    assert accepts(automaton, other) == (other in choices)


def test_anchors_at_the_ends_change_nothing() -> None:
    """^ and $ are left out, and an escaped dollar is a dollar."""
    for regex in ("^ab$", "^ab", "ab$", "ab"):
        assert accepts(bytes_automaton(regex), "ab")
    assert accepts(bytes_automaton(r"a\$"), "a$")
    assert accepts(bytes_automaton(r"a\\$"), "a\\")


@pytest.mark.parametrize(
    ("regex", "reason"),
    [
        ("(", "unterminated"),
        ("a)|(b", "unbalanced"),
        ("[a", "unterminated"),
        ("(?=a)b", "look-around"),
        (r"(a)\1", "back-references"),
        (r"a\b", "word boundaries"),
        ("a$b", "at the ends"),
        ("a^b", "at the ends"),
    ],
)
def test_invalid_expressions_have_a_reason(regex: str, reason: str) -> None:
    """It says what is wrong, or what automata do not have."""
    with pytest.raises(InvalidPatternError, match=reason):
        of_regex(regex, 10.0)


@pytest.mark.parametrize("regex", ["(a|b)*a(a|b){24}", "((a{0,200}){0,200}){0,200}"])
def test_expressions_without_end_are_stopped(regex: str) -> None:
    """Their process is stopped at the time limit."""
    with pytest.raises(TooComplexError):
        of_regex(regex, 0.3)


def test_a_process_compiles_what_the_test_compiles() -> None:
    """The automaton from the process is the one from the function, byte for byte."""
    automaton, expected = of_regex(r"(\w|é)+", 20.0), bytes_automaton(r"(\w|é)+")
    assert automaton.next_SC.tobytes() == expected.next_SC.tobytes()
    assert automaton.class_of.tobytes() == expected.class_of.tobytes()
    assert automaton.accepting_S.tolist() == expected.accepting_S.tolist()
