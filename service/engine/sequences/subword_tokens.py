"""The effect of char and bpe tokens on a word. Computed once per model and immutable."""

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
from service.kernel.api.filters import IdArray
from service.kernel.api.interface import FloatArray

BoolArray = NDArray[np.bool_]


class Spelling:
    """Tokens as bytes, with the tokens that end a word at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.end = tokenizer.end
        self._bytes_V = [tokenizer.bytes_of(token) for token in range(tokenizer.size)]
        self._suppressed = sorted(tokenizer.suppressed)
        texts = [spelled.decode("utf-8", errors="replace") for spelled in self._bytes_V]
        self._ends_letters_V = _ending("a", texts)
        self._ends_connector_V = _ending("a-", texts)
        self._ends_letters_V[tokenizer.end] = self._ends_connector_V[tokenizer.end] = True
        excluded = tokenizer.suppressed | {tokenizer.end}
        kept = sorted(
            (spelled, token) for token, spelled in enumerate(self._bytes_V) if token not in excluded
        )
        self._sorted = [spelled for spelled, _ in kept]
        self._sorted_ids = np.array([token for _, token in kept], dtype=np.int64)

    def bytes_of(self, token: int) -> bytes:
        """The token's text in UTF-8."""
        return self._bytes_V[token]

    def probabilities(self, logprobs_V: FloatArray) -> NDArray[np.float64]:
        """Probabilities, with 0 for suppressed tokens."""
        probabilities_V = np.exp(logprobs_V.astype(np.float64))
        probabilities_V[self._suppressed] = 0.0
        return probabilities_V

    def ending(self, text: bytes) -> BoolArray:
        """Tokens that end a word with this text without adding to it."""
        decoded = text.decode("utf-8", errors="replace")
        return self._ends_connector_V if decoded[-1] in CONNECTORS else self._ends_letters_V

    def completing(self, required: bytes) -> IdArray:
        """Tokens that begin with these bytes, by id."""
        begin = bisect.bisect_left(self._sorted, required)
        end = bisect.bisect_left(
            self._sorted, True, key=lambda spelled: not spelled.startswith(required), lo=begin
        )
        return np.sort(self._sorted_ids[begin:end])

    def beginning(self, required: bytes) -> IdArray:
        """Tokens that are a proper prefix of these bytes, by id."""
        tokens: list[int] = []
        for length in range(1, len(required)):
            index = bisect.bisect_left(self._sorted, required[:length])
            while index < len(self._sorted) and self._sorted[index] == required[:length]:
                tokens.append(int(self._sorted_ids[index]))
                index += 1
        return np.array(sorted(tokens), dtype=np.int64)


def _ending(before: str, texts: list[str]) -> BoolArray:
    """Whether each text ends a word such as ``before`` without adding to it.

    A text that begins with part of a character does not count as ending.
    """
    return np.array(
        [
            not text.startswith(INCOMPLETE_CHARACTER)
            and first_word(before + text) == (WordProgress.OVER, before.rstrip(CONNECTORS))
            for text in texts
        ]
    )
