"""The state cache against the plainest model of it: a list of prefixes, oldest use first."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model.state import State
from service.engine.observer import Observer
from service.engine.state_cache import BLOCK, OVERHEAD_BYTES, TOKEN_BYTES, StateCache

TENANTS = st.sampled_from(["", "one", "other"])
# few distinct tokens and lengths around the borders of blocks, so that prefixes meet
PREFIXES = st.builds(
    lambda length, change: tuple((place == change) * 1 for place in range(length)),
    st.sampled_from([1, 2, 5, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 3]),
    st.sampled_from([0, 1, 4, BLOCK - 1, BLOCK, 2 * BLOCK + 2, 999]),
)
LIMIT = 4 * OVERHEAD_BYTES


def state(number: float) -> State:
    """A state that can be told from others."""
    return State(torch.full((1, 1, 4), number))


class Machine(RuleBasedStateMachine):
    """What is found, forgotten and counted agrees with the plain model after every move."""

    def __init__(self) -> None:
        super().__init__()
        self.cache = StateCache("m", LIMIT, Observer())
        self.plain: list[tuple[str, tuple[int, ...], float]] = []  # least recently used first
        self.number = 0.0

    @staticmethod
    def size(tokens: tuple[int, ...]) -> int:
        return 16 + OVERHEAD_BYTES + TOKEN_BYTES * (len(tokens) % BLOCK)

    @rule(tenant=TENANTS, tokens=PREFIXES)
    def put(self, tenant: str, tokens: tuple[int, ...]) -> None:
        self.number += 1
        self.cache.put(tenant, list(tokens), state(self.number))
        if self.size(tokens) > LIMIT:
            return
        known = [entry for entry in self.plain if entry[:2] == (tenant, tokens)]
        if known:  # the same prefix has the same state
            self.plain.remove(known[0])
            self.plain.append(known[0])
            return
        while sum(self.size(entry[1]) for entry in self.plain) + self.size(tokens) > LIMIT:
            del self.plain[0]
        self.plain.append((tenant, tokens, self.number))

    @rule(tenant=TENANTS, tokens=PREFIXES)
    def find(self, tenant: str, tokens: tuple[int, ...]) -> None:
        found = self.cache.find(tenant, list(tokens))
        fitting = [
            entry
            for entry in self.plain
            if entry[0] == tenant and tokens[: len(entry[1])] == entry[1]
        ]
        if not fitting:
            assert found is None
            return
        longest = max(fitting, key=lambda entry: len(entry[1]))
        assert found is not None
        assert found.length == len(longest[1])
        assert found.state.hidden_LBH[0, 0, 0] == longest[2]
        self.plain.remove(longest)
        self.plain.append(longest)

    @invariant()
    def bytes_are_counted_and_bounded(self) -> None:
        assert self.cache.nbytes == sum(self.size(entry[1]) for entry in self.plain) <= LIMIT


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(tokens=PREFIXES)
def test_a_cache_of_no_bytes_keeps_nothing(tokens: tuple[int, ...]) -> None:
    """Switched off, it neither finds nor counts."""
    cache = StateCache("m", 0, Observer())
    cache.put("", tokens, state(1.0))
    assert cache.find("", tokens) is None
    assert cache.nbytes == 0
