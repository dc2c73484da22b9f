"""Constraints for tests: compiled in the test's process, which takes a millisecond."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from hypothesis import strategies as st

from service.engine.constraints import regex_process
from service.engine.constraints.byte_automaton import ByteAutomaton, unpacked
from service.engine.constraints.token_index import CompilationBudget, TokenTexts, token_automaton
from service.kernel.api.token_automaton import TokenAutomaton, TokenBytes

PATIENCE = 60.0


def bytes_automaton(regex: str) -> ByteAutomaton:
    """The automaton of an expression over bytes."""
    return unpacked(regex_process.compiled(regex))


def constraint_of(
    regex: str, tokens: Sequence[bytes], end: int, suppressed: Collection[int] = ()
) -> TokenAutomaton | None:
    """The automaton of an expression over these tokens."""
    texts = TokenTexts(TokenBytes.of(tokens), end, suppressed)
    budget = CompilationBudget(time.monotonic() + PATIENCE, 2**26)
    return token_automaton(bytes_automaton(regex), texts, budget)


def _combined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = parts.map("(?:{})".format)
    suffixes = st.sampled_from(["*", "+", "?", "{0,3}", "{2}", "+?", "??"])
    return st.one_of(
        st.lists(parts, min_size=2, max_size=4).map("".join),
        st.lists(parts, min_size=2, max_size=3).map(lambda of: f"(?:{'|'.join(of)})"),
        st.tuples(group, suffixes).map("".join),
    )


def regexes(letters: str) -> st.SearchStrategy[str]:
    """Expressions over these letters that mean the same to Python's re."""
    single = st.sampled_from([*letters, ".", f"[{letters}]", f"[^{letters[0]}]"])
    return st.recursive(single, _combined, max_leaves=8)
