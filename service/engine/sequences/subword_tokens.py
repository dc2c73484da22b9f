"""What the tokens of a char or bpe vocabulary do to a word. Made once per model, then read only."""

from __future__ import annotations

import bisect

import numpy as np
from numpy.typing import NDArray

from model.tokenization.tokenizer import Tokenizer
from service.engine.sequences.word_boundaries import (
    CONNECTORS,
    INCOMPLETE_CHARACTER,
    WordProgress,
    first_word,
)
from service.kernel.api.interface import FloatArray

BoolArray = NDArray[np.bool_]
IdArray = NDArray[np.int64]


class Spelling:
    """Tokens as bytes, and which of them end a word at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.end = tokenizer.end
        self._bytes_V = [tokenizer.bytes_of(token) for token in range(tokenizer.size)]
        self._never_drawn = sorted(tokenizer.suppressed)
        texts = [spelt.decode("utf-8", errors="replace") for spelt in self._bytes_V]
        self._ends_letters_V = _ending("a", texts)
        self._ends_connector_V = _ending("a-", texts)
        self._ends_letters_V[tokenizer.end] = self._ends_connector_V[tokenizer.end] = True
        excluded = tokenizer.suppressed | {tokenizer.end}
        kept = sorted(
            (spelt, token) for token, spelt in enumerate(self._bytes_V) if token not in excluded
        )
        self._sorted = [spelt for spelt, _ in kept]
        self._sorted_ids = np.array([token for _, token in kept], dtype=np.int64)

    def bytes_of(self, token: int) -> bytes:
        """The token's UTF-8."""
        return self._bytes_V[token]

    def drawable(self, logprobs_V: FloatArray) -> NDArray[np.float64]:
        """Probabilities, zero for tokens that are never generated."""
        probabilities_V = np.exp(logprobs_V.astype(np.float64))
        probabilities_V[self._never_drawn] = 0.0
        return probabilities_V

    def ending(self, text: bytes) -> BoolArray:
        """Tokens with which a word that is this text is over, nothing of them belonging to it."""
        decoded = text.decode("utf-8", errors="replace")
        return self._ends_connector_V if decoded[-1] in CONNECTORS else self._ends_letters_V

    def completing(self, required: bytes) -> IdArray:
        """Tokens that begin with these bytes, by id."""
        begin = bisect.bisect_left(self._sorted, required)
        end = bisect.bisect_left(
            self._sorted, True, key=lambda spelt: not spelt.startswith(required), lo=begin
        )
        return np.sort(self._sorted_ids[begin:end])

    def beginning(self, required: bytes) -> IdArray:
        """Tokens that these bytes begin with, without being all of them, by id."""
        found: list[int] = []
        for length in range(1, len(required)):
            place = bisect.bisect_left(self._sorted, required[:length])
            while place < len(self._sorted) and self._sorted[place] == required[:length]:
                found.append(int(self._sorted_ids[place]))
                place += 1
        return np.array(sorted(found), dtype=np.int64)


def _ending(before: str, texts: list[str]) -> BoolArray:
    """Whether each text ends a word such as ``before`` without adding to it.

    A text that begins with part of a character is not known to.
    """
    return np.array(
        [
            not text.startswith(INCOMPLETE_CHARACTER)
            and first_word(before + text) == (WordProgress.OVER, before.rstrip(CONNECTORS))
            for text in texts
        ]
    )
