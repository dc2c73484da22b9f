"""Which tokens a constraint allows, against every text that the tokens can spell."""

from __future__ import annotations

import itertools
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.constraints.byte_automaton import TooComplexError
from service.engine.constraints.token_index import CompilationBudget, TokenTexts, token_automaton
from service.kernel.api.token_automaton import TokenBytes
from tests.support.service.constraints import bytes_automaton, constraint_of, regexes
from tests.support.service.engine_client import tokenizer_of

UNKNOWN = 0
# Neither "b" nor "é" can be spelled alone.
TOKENS = [b"[UNK]", b"a", b"ab", b"ba", b"b\xc3", b"\xa9", b"c\0", b""]
END = len(TOKENS) - 1


def spelled(most: int) -> dict[tuple[int, ...], bytes]:
    """All sequences of up to this many tokens, with their texts."""
    ids = [token for token in range(END) if token != UNKNOWN]
    sequences = (seq for n in range(most + 1) for seq in itertools.product(ids, repeat=n))
    return {seq: b"".join(TOKENS[token] for token in seq) for seq in sequences}


SHORT, SPELLED = spelled(2), spelled(4)  # a text of two tokens has four bytes at most


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(set(SHORT.values()))), min_size=1, max_size=4))
def test_a_token_is_allowed_if_a_text_goes_on_from_it(texts: list[bytes]) -> None:
    """For finite sets of texts, some of which end inside a character or with a NUL: exactly the
    tokens from which one can be completed are allowed, and [END] after a complete one.
    """
    wanted = {text.decode() for text in texts if _is_text(text)}
    if not wanted:
        return
    regex = "|".join(map(re.escape, sorted(wanted)))
    constraint = constraint_of(regex, TOKENS, END, {UNKNOWN})
    assert constraint is not None
    sequences = {seq for seq, text in SPELLED.items() if text in {one.encode() for one in wanted}}
    for prefix in {seq[:length] for seq in sequences for length in range(len(seq) + 1)}:
        further = {seq for seq in sequences if len(seq) > len(prefix)}
        expected = {seq[len(prefix)] for seq in further if seq[: len(prefix)] == prefix}
        expected |= {END} if prefix in sequences else set()
        allowed = constraint.allowed(constraint.after(0, prefix))
        assert set(allowed.nonzero()[0].tolist()) == expected


def _is_text(text: bytes) -> bool:
    try:
        return text != b"" and "\0" not in text.decode()
    except UnicodeDecodeError:
        return False


@settings(max_examples=60, deadline=None)
@given(regexes("the,' "), st.sampled_from(["word", "char", "bpe"]), st.randoms())
def test_every_walk_ends_in_a_match(regex: str, kind: str, random: object) -> None:
    """Random allowed tokens lead to no dead end, and where [END] is allowed the text matches, for
    word, character and BPE tokenizers.
    """
    tokenizer = tokenizer_of(kind)
    texts = [tokenizer.bytes_of(token) for token in range(tokenizer.size)]
    constraint = constraint_of(regex, texts, tokenizer.end, tokenizer.suppressed)
    if constraint is None:
        assert kind != "bpe"  # which spells every text
        return
    state, tokens = 0, list[int]()
    while len(tokens) < 30:
        allowed = constraint.allowed(state).nonzero()[0].tolist()
        assert allowed
        assert not set(allowed) & tokenizer.suppressed
        matches = bool(re.fullmatch(regex, tokenizer.decode(tokens)))
        assert (tokenizer.end in allowed) == matches
        token = random.choice(allowed)  # type: ignore[attr-defined]
        if token == tokenizer.end:
            break
        tokens.append(token)
        state = constraint.after(state, [token])


def test_dead_ends_of_the_vocabulary_are_avoided() -> None:
    """After "b" only "é" is missing, so "b" is not allowed; without another way there is no
    automaton.
    """
    tokens = [b"a", b"b", b""]
    constraint = constraint_of("a|bé", tokens, 2)
    assert constraint is not None
    assert constraint.allowed(0).tolist() == [True, False, False]
    assert constraint_of("bé", tokens, 2) is None


def test_texts_that_can_be_spelled() -> None:
    """A text is spelled by some sequence of tokens, whatever comes first."""
    texts = TokenTexts(TokenBytes.of(TOKENS), END, {UNKNOWN})
    assert all(map(texts.can_spell, (b"", b"aab", b"aba", "abaé"[:3].encode(), "abé".encode())))
    assert not any(map(texts.can_spell, (b"b", "é".encode(), b"[UNK]", b"ac")))


def test_a_budget_bounds_memory_and_time() -> None:
    """Both are checked for each state."""
    automaton = bytes_automaton("a{1000}")
    texts = TokenTexts(TokenBytes.of(TOKENS), END, ())
    for budget in (
        CompilationBudget(time.monotonic() + 60, 1000),
        CompilationBudget(time.monotonic(), 2**30),
    ):
        with pytest.raises(TooComplexError):
            token_automaton(automaton, texts, budget)
