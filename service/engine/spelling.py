"""What the tokens of a char or bpe vocabulary do to a word. Made once per model, then read only."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

from model.tokenizer import Tokenizer
from service.engine.words import CONNECTORS, Reading, first_word
from service.kernel.interface import FloatArray

BoolArray = NDArray[np.bool_]


class Spelling:
    """Tokens as bytes, and which of them end a word at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.end = tokenizer.end
        self._bytes_V = [tokenizer.bytes_of(token) for token in range(tokenizer.size)]
        self._never_drawn = sorted(tokenizer.never_drawn)
        texts = [spelt.decode("utf-8", errors="replace") for spelt in self._bytes_V]
        self._ends_letters_V = _ending("a", texts)
        self._ends_connector_V = _ending("a-", texts)
        self._ends_letters_V[tokenizer.end] = self._ends_connector_V[tokenizer.end] = True
        excluded = tokenizer.never_drawn | {tokenizer.end}
        self._sorted = sorted(
            (spelt, token) for token, spelt in enumerate(self._bytes_V) if token not in excluded
        )

    def bytes_of(self, token: int) -> bytes:
        """The token's UTF-8."""
        return self._bytes_V[token]

    def drawable(self, logprobs_V: FloatArray) -> NDArray[np.float64]:
        """Probabilities, zero for tokens that are never drawn."""
        probabilities_V = np.exp(logprobs_V.astype(np.float64))
        probabilities_V[self._never_drawn] = 0.0
        return probabilities_V

    def ending(self, text: bytes) -> BoolArray:
        """Tokens with which a word that is this text is over, nothing of them belonging to it."""
        decoded = text.decode("utf-8", errors="replace")
        return self._ends_connector_V if decoded[-1] in CONNECTORS else self._ends_letters_V

    def agreeing(self, required: bytes) -> list[int]:
        """Tokens that begin with ``required`` or that ``required`` begins with, by id."""
        found = [
            token
            for length in range(1, len(required))
            for token in self._starting_with(required[:length], exactly=True)
        ]
        return sorted(found + self._starting_with(required, exactly=False))

    def _starting_with(self, prefix: bytes, *, exactly: bool) -> list[int]:
        place = bisect.bisect_left(self._sorted, (prefix, -1))
        found = []
        while place < len(self._sorted) and self._sorted[place][0].startswith(prefix):
            if not exactly or self._sorted[place][0] == prefix:
                found.append(self._sorted[place][1])
            elif exactly:
                break
            place += 1
        return found


def _ending(before: str, texts: list[str]) -> BoolArray:
    """Whether each text ends a word such as ``before`` without adding to it.

    A text that begins with part of a character is not known to.
    """
    return np.array(
        [
            not text.startswith("�")
            and first_word(before + text) == (Reading.OVER, before.rstrip(CONNECTORS))
            for text in texts
        ]
    )
