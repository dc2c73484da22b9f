"""A constraint on sampled text: an automaton over the bytes of tokens.

A state has bits for the tokens from which a text that satisfies the constraint can still be
reached, token by token. [END] is allowed where the text satisfies it. A kernel looks the bits up
before it samples a token and reads the token's bytes after it, so that a constrained row takes part
in bursts as any other.

Shape suffixes: V vocabulary, S states, C classes of bytes, R states with bits, W words of 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
WORD_BITS = 32


@dataclass(frozen=True, eq=False)
class TokenBytes:
    """The bytes of all tokens, joined: those of token v are from ``begins[v]`` to
    ``begins[v + 1]``. [END] has none.
    """

    joined: NDArray[np.uint8]
    begins: NDArray[np.int32]

    @classmethod
    def of(cls, texts_V: Sequence[bytes]) -> TokenBytes:
        """From the bytes of each token."""
        begins = np.cumsum([0, *map(len, texts_V)], dtype=np.int32)
        return cls(np.frombuffer(b"".join(texts_V), dtype=np.uint8), begins)

    def __len__(self) -> int:
        return len(self.begins) - 1

    def __getitem__(self, token: int) -> bytes:
        return self.joined[self.begins[token] : self.begins[token + 1]].tobytes()


@dataclass(frozen=True, eq=False)
class TokenAutomaton:
    """``class_of``: the class of each of 256 bytes. ``next_SC``: the state after a byte of a class,
    -1 where no text goes on. ``allowed_RW``: bits of the allowed tokens, lowest first. States 0 to
    R - 1 are those between tokens; 0 is the first. ``digest`` identifies the automaton.
    """

    tokens: TokenBytes
    class_of: NDArray[np.uint8]
    next_SC: NDArray[np.int32]
    allowed_RW: NDArray[np.uint32]
    digest: bytes

    @property
    def states(self) -> int:
        """The number of states between tokens."""
        return len(self.allowed_RW)

    @property
    def nbytes(self) -> int:
        """The memory that it takes, without the bytes of the tokens, which others share."""
        return self.next_SC.nbytes + self.allowed_RW.nbytes + self.class_of.nbytes

    def allowed(self, state: int) -> BoolArray:
        """Which tokens may follow (V)."""
        bits = np.unpackbits(self.allowed_RW[state].view(np.uint8), bitorder="little")
        return bits[: len(self.tokens)].view(np.bool_)

    def after(self, state: int, tokens: Iterable[int]) -> int:
        """The state after tokens; -1 if one of them is not allowed."""
        for byte in b"".join(map(self.tokens.__getitem__, tokens)):
            if state < 0:
                break
            state = int(self.next_SC[state, self.class_of[byte]])
        return state
