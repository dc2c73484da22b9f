"""The automaton of a constraint: states, allowed tokens and bytes."""

from __future__ import annotations

from tests.support.service.constraints import constraint_of

TOKENS = [b"", b"a", b"ab", b"b", "é".encode(), b"\xc3", b"\xa9", b""]
END = len(TOKENS) - 1


def test_states_follow_the_bytes_of_tokens() -> None:
    """Tokens of the same bytes lead to the same state, whatever parts they come in."""
    automaton = constraint_of("(ab|b)é?", TOKENS, END)
    assert automaton is not None
    assert set(automaton.allowed(0).nonzero()[0]) == {1, 2, 3}
    whole = automaton.after(0, [2])
    assert whole == automaton.after(0, [1, 3]) == automaton.after(0, [3])
    assert set(automaton.allowed(whole).nonzero()[0]) == {4, 5, END}
    part = automaton.after(whole, [5])
    assert set(automaton.allowed(part).nonzero()[0]) == {6}
    assert automaton.after(part, [6]) == automaton.after(whole, [4])


def test_no_state_follows_a_token_that_is_not_allowed() -> None:
    """The state is then -1, and stays so."""
    automaton = constraint_of("ab", TOKENS, END)
    assert automaton is not None
    assert automaton.after(0, [3]) == automaton.after(0, [3, 1, 2]) == -1
