"""From an automaton over bytes to one over the tokens of a model.

A token is allowed if a text that satisfies the constraint can be reached from the state after it
with the model's own tokens. Word and character models cannot spell every text, so a state may be
dead although the constraint goes on there.

Shape suffixes: V vocabulary, N tokens that may be sampled, S states, C classes of bytes, R states
between tokens, W words of 32 bits.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.engine.constraints.byte_automaton import ByteAutomaton, TooComplexError
from service.kernel.api.token_automaton import WORD_BITS, TokenAutomaton, TokenBytes

DIGEST_BYTES = 8


class Reached(NamedTuple):
    """The tokens that the automaton can read from a state, and the state after each of them."""

    tokens: NDArray[np.int64]
    states: NDArray[np.int32]


class CompilationBudget(NamedTuple):
    """What an automaton may take. ``until``: on the clock of ``time.monotonic``."""

    until: float
    nbytes: int

    def check(self, nbytes: int) -> None:
        """Raises TooComplexError if either is exceeded."""
        if nbytes > self.nbytes or time.monotonic() > self.until:
            raise TooComplexError


class TokenTexts:
    """The tokens of a model that may be sampled, in the order that reading them together needs.

    ``end``: [END]. ``suppressed``: tokens that are never sampled.
    """

    def __init__(self, tokens: TokenBytes, end: int, suppressed: Collection[int]) -> None:
        self.tokens = tokens
        self.end = end
        lengths_V = np.diff(tokens.begins)
        sampled_V = lengths_V > 0
        sampled_V[[end, *suppressed]] = False
        ids_N = np.flatnonzero(sampled_V)
        self._ids_N = ids_N[np.argsort(-lengths_V[ids_N], kind="stable")]  # longest first
        lengths_N = lengths_V[self._ids_N]
        begins_N = tokens.begins[self._ids_N]
        self._columns = [  # byte `place` of the tokens that have one
            tokens.joined[begins_N[: np.count_nonzero(lengths_N > place)] + place]
            for place in range(int(lengths_N.max(initial=0)))
        ]
        self.spellings = frozenset(tokens[int(token)] for token in ids_N)
        self.longest = len(self._columns)

    def read(self, automaton: ByteAutomaton, state: int) -> Reached:
        """All tokens, read from this state."""
        states_N = np.full(len(self._ids_N), state, dtype=np.int32)
        active = np.arange(len(self._ids_N))
        for column in self._columns:
            active = active[: np.searchsorted(active, len(column))]
            if not len(active):
                break
            classes = automaton.class_of[column[active]]
            after = automaton.next_SC[states_N[active], classes]
            states_N[active] = after
            active = active[after >= 0]
        alive = np.flatnonzero(states_N >= 0)
        return Reached(self._ids_N[alive], states_N[alive])

    def can_spell(self, text: bytes) -> bool:
        """Whether the text is a sequence of tokens."""
        reached = {0}
        for begin in range(len(text)):
            if begin in reached:
                reached |= {
                    end
                    for end in range(begin + 1, min(begin + self.longest, len(text)) + 1)
                    if text[begin:end] in self.spellings
                }
        return len(text) in reached


def token_automaton(
    automaton: ByteAutomaton, texts: TokenTexts, budget: CompilationBudget
) -> TokenAutomaton | None:
    """The automaton over tokens; None if the tokens spell no text that satisfies the constraint.

    Gives the interpreter's lock away between states. Raises TooComplexError.
    """
    explored = _explore(automaton, texts, budget)
    live = _live(explored, automaton.accepting_S)
    if 0 not in live:
        return None
    live_S = np.zeros(len(automaton.next_SC), dtype=np.bool_)
    live_S[[*live]] = True
    kept = [state for state in explored if state in live]
    for state in kept:
        if not live_S[explored[state].followers].all():
            _yield_lock(budget)
            reached = texts.read(automaton, state)
            tokens = reached.tokens[live_S[reached.states]]
            ends = bool(automaton.accepting_S[state])
            explored[state] = explored[state]._replace(bits=_bits(tokens, texts, ends=ends))
    allowed_RW = np.stack([explored[state].bits for state in kept])
    next_SC = _renumbered(automaton.next_SC, kept)
    digest = hashlib.sha256(next_SC.tobytes() + allowed_RW.tobytes() + automaton.class_of.tobytes())
    return TokenAutomaton(
        texts.tokens, automaton.class_of, next_SC, allowed_RW, digest.digest()[:DIGEST_BYTES]
    )


class _Between(NamedTuple):
    """A state between tokens: the bits of the tokens that the automaton can read from it, and the
    states that they lead to.
    """

    bits: NDArray[np.uint32]
    followers: NDArray[np.int32]


def _explore(
    automaton: ByteAutomaton, texts: TokenTexts, budget: CompilationBudget
) -> dict[int, _Between]:
    """The states between tokens, in the order in which they are reached."""
    explored: dict[int, _Between] = {}
    order, known = [0], {0}
    nbytes = automaton.next_SC.nbytes
    for state in order:
        reached = texts.read(automaton, state)
        bits = _bits(reached.tokens, texts, ends=bool(automaton.accepting_S[state]))
        explored[state] = _Between(bits, np.unique(reached.states))
        nbytes += bits.nbytes + explored[state].followers.nbytes
        _yield_lock(budget, nbytes)
        for after in explored[state].followers.tolist():
            if after not in known:
                known.add(after)
                order.append(after)
    return explored


def _live(explored: dict[int, _Between], accepting_S: NDArray[np.bool_]) -> set[int]:
    """The states from which an accepting one can be reached."""
    leaders: dict[int, list[int]] = {}
    for state, between in explored.items():
        for follower in between.followers.tolist():
            leaders.setdefault(follower, []).append(state)
    found = [state for state in explored if accepting_S[state]]
    live = set(found)
    for state in found:
        for leader in leaders.get(state, ()):
            if leader not in live:
                live.add(leader)
                found.append(leader)
    return live


def _bits(allowed: NDArray[np.int64], texts: TokenTexts, *, ends: bool) -> NDArray[np.uint32]:
    flags_V = np.zeros(-(-len(texts.tokens) // WORD_BITS) * WORD_BITS, dtype=np.uint8)
    flags_V[allowed] = 1
    flags_V[texts.end] = ends
    return np.packbits(flags_V, bitorder="little").view(np.uint32)


def _renumbered(next_SC: NDArray[np.int32], kept: list[int]) -> NDArray[np.int32]:
    """The same transitions with the states of ``kept`` first."""
    rest = np.setdiff1d(np.arange(len(next_SC), dtype=np.int32), kept)
    order_S = np.concatenate([np.array(kept, dtype=np.int32), rest])
    number_S = np.full(len(next_SC) + 1, -1, dtype=np.int32)  # the last one is for -1
    number_S[order_S] = np.arange(len(order_S), dtype=np.int32)
    renumbered_SC: NDArray[np.int32] = number_S[next_SC[order_S]]
    return renumbered_SC


def _yield_lock(budget: CompilationBudget, nbytes: int = 0) -> None:
    """Let other threads run, which would wait for milliseconds otherwise."""
    budget.check(nbytes)
    time.sleep(0)
