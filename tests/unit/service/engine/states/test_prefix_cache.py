"""The prefix cache against a plain model of it: a list of prefixes in order of last use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from service.engine.api.observer import Observer
from service.engine.states.prefix_cache import (
    BLOCK_TOKENS,
    ENTRY_BYTES,
    MAX_STATES_PER_TEXT,
    SHORTEST_PREFIX,
    PrefixCache,
    PrefixHashes,
)
from service.kernel.api.row_state import RowState

Tokens = tuple[int, ...]
TENANTS = st.sampled_from(["", "one", "other"])
# few distinct tokens and lengths around the borders of blocks, so that prefixes meet
LENGTHS = st.sampled_from(
    [
        1,
        2,
        5,
        BLOCK_TOKENS - 1,
        BLOCK_TOKENS,
        BLOCK_TOKENS + 1,
        2 * BLOCK_TOKENS,
        2 * BLOCK_TOKENS + 3,
    ]
)
TEXTS = st.builds(
    lambda length, change: tuple((place == change) * 1 for place in range(length)),
    LENGTHS,
    st.sampled_from([0, 1, 4, BLOCK_TOKENS - 1, BLOCK_TOKENS, 2 * BLOCK_TOKENS + 2, 999]),
)
LIMIT = 4 * ENTRY_BYTES


def state(number: float) -> RowState:
    """A distinguishable state."""
    return RowState(np.full((1, 1, 4), number, dtype=np.float32))


@dataclass
class Plain:
    """The plain model of an entry."""

    tenant: str
    tokens: Tokens
    number: float
    next: Tokens

    @property
    def size(self) -> int:
        return 16 + ENTRY_BYTES + 4 * (len(self.tokens) % BLOCK_TOKENS + len(self.next))


def alike(one: Tokens, other: Tokens) -> int:
    """The number of equal leading tokens."""
    return next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1),
        min(len(one), len(other)),
    )


class Machine(RuleBasedStateMachine):
    """Hits, evictions and counts agree with the plain model after every move."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = PrefixCache("m", LIMIT, Observer())
        self.plain: list[Plain] = []  # least recently used first
        self.number = 0.0

    def forget(self) -> None:
        while sum(entry.size for entry in self.plain) > LIMIT:
            del self.plain[0]

    @rule(tenant=TENANTS, text=TEXTS, length=LENGTHS)
    def put(self, tenant: str, text: Tokens, length: int) -> None:
        self.number += 1
        length = min(length, len(text))
        self.cache.put(PrefixHashes(tenant, text), length, state(self.number))
        new = Plain(tenant, text[:length], self.number, text[length : length + BLOCK_TOKENS])
        known = [e for e in self.plain if (e.tenant, e.tokens) == (tenant, new.tokens)]
        if known:  # the same prefix has the same state
            self.plain.remove(known[0])
            self.plain.append(known[0])
        elif length >= SHORTEST_PREFIX:
            self.plain.append(new)
            self.forget()

    @rule(tenant=TENANTS, text=TEXTS, most=LENGTHS)
    def find(self, tenant: str, text: Tokens, most: int) -> None:
        most = min(most, len(text))
        match = self.cache.find(PrefixHashes(tenant, text), most)
        fitting = [
            entry
            for entry in self.plain
            if entry.tenant == tenant and text[:most][: len(entry.tokens)] == entry.tokens
        ]
        if not fitting:
            assert match is None
            return
        longest = max(fitting, key=lambda entry: len(entry.tokens))
        length = len(longest.tokens)
        rest = text[length : length + BLOCK_TOKENS]
        assert match is not None
        assert (match.length, float(match.state.values_PLH[0, 0, 0])) == (length, longest.number)
        assert match.divergence == min(length + alike(longest.next, rest), most)
        self.plain.remove(longest)
        self.plain.append(longest)
        longest.next = rest
        self.forget()

    @invariant()
    def bytes_are_counted_and_bounded(self) -> None:
        assert self.cache.nbytes == sum(entry.size for entry in self.plain) <= LIMIT


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@given(text=TEXTS)
def test_a_cache_of_no_bytes_keeps_nothing(text: Tokens) -> None:
    """A disabled cache neither finds nor counts."""
    cache = PrefixCache("m", 0, Observer())
    cache.put(PrefixHashes("", text), len(text), state(1.0))
    assert cache.find(PrefixHashes("", text), len(text)) is None
    assert cache.nbytes == 0


@given(text=st.lists(st.integers(0, 2**31 - 1), max_size=300), cut=st.integers(0, 300))
def test_a_trail_that_goes_on_is_that_of_the_whole_text(text: list[int], cut: int) -> None:
    """The hashes of a text do not depend on its division into parts."""
    parts = PrefixHashes("who", text[:cut]).extended_by(text[cut:])
    whole = PrefixHashes("who", text)
    assert parts.digests == whole.digests
    assert parts.tokens.tolist() == whole.tokens.tolist() == text


@pytest.mark.parametrize("length", [0, 63, 2000, 2048, 4100, 100_000])
def test_a_long_text_keeps_few_states(length: int) -> None:
    """The distance between states grows with the text, so one text never fills the cache."""
    hashes = PrefixHashes("", [0] * length)
    assert length // hashes.spacing <= MAX_STATES_PER_TEXT
    assert (
        length < BLOCK_TOKENS * MAX_STATES_PER_TEXT
        or length // hashes.spacing >= MAX_STATES_PER_TEXT // 2
    )
    assert hashes.spacing % BLOCK_TOKENS == 0
