"""The effect of char and bpe tokens on a word. Computed once per model and immutable.

A token's effect depends only on the end of the text before it: no word yet, a letter, or a letter
and a connector. The effects after these three ends are stored as arrays over the vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.tokenization.tokenizer import Tokenizer
from service.engine.sequences.prefix_index import PrefixIndex
from service.engine.sequences.word_boundaries import (
    CONNECTORS,
    INCOMPLETE_CHARACTER,
    WordProgress,
    first_word,
)
from service.kernel.api.filters import IdArray
from service.kernel.api.interface import FloatArray

_TEXT_ENDS = ("", "a", "a-")  # a text for each end


class Effects(NamedTuple):
    """The tokens by their effect after one end of a text.

    ``ending`` tokens, [END] included, end the word without adding to it. After ``open`` tokens the
    word may continue, or begin. ``closing`` tokens add the last part of a word and end it.
    """

    ending: IdArray
    open_V: NDArray[np.bool_]
    closing_V: NDArray[np.bool_]


class Spelling:
    """Tokens as bytes, with their effects on a word."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.end = tokenizer.end
        self._bytes_V = [tokenizer.bytes_of(token) for token in range(tokenizer.size)]
        self._suppressed = sorted(tokenizer.suppressed)
        texts = [spelled.decode("utf-8", errors="replace") for spelled in self._bytes_V]
        self._effects = {end: _effects(end, texts, tokenizer.end) for end in _TEXT_ENDS}
        excluded = tokenizer.suppressed | {tokenizer.end}
        index = PrefixIndex(
            {token: spelled for token, spelled in enumerate(self._bytes_V) if token not in excluded}
        )
        self.completing = index.starting_with
        self.beginning = index.prefixes_of

    def bytes_of(self, token: int) -> bytes:
        """The token's text in UTF-8."""
        return self._bytes_V[token]

    def probabilities(self, logprobs_V: FloatArray) -> NDArray[np.float64]:
        """Probabilities, with 0 for suppressed tokens."""
        probabilities_V = np.exp(logprobs_V.astype(np.float64))
        probabilities_V[self._suppressed] = 0.0
        return probabilities_V

    def ending(self, text: str) -> IdArray:
        """Tokens that end the unfinished word of this text without adding to it."""
        return self._effects[_end_of(text)].ending

    def open_and_closing(self, text: bytes, tokens: IdArray) -> tuple[IdArray, IdArray]:
        """Those of the tokens after which the text may become a longer word, and those that
        complete a word.
        """
        decoded = text.decode("utf-8", errors="replace")
        if decoded.endswith(INCOMPLETE_CHARACTER):
            progress = [
                _progress((text + self._bytes_V[token]).decode("utf-8", errors="replace"))
                for token in tokens
            ]
            is_open = np.array([_is_open(part) for part in progress], dtype=np.bool_)
            is_closing = np.array([part is WordProgress.OVER for part in progress], dtype=np.bool_)
            return tokens[is_open], tokens[is_closing]
        effects = self._effects[_end_of(decoded)]
        return tokens[effects.open_V[tokens]], tokens[effects.closing_V[tokens]]


def _effects(before: str, texts: list[str], end: int) -> Effects:
    """The effects of tokens with these texts after the text ``before``. A token that begins with
    part of a character does not count as ending.
    """
    words = [first_word((before + text).rstrip(INCOMPLETE_CHARACTER)) for text in texts]
    unchanged = (WordProgress.OVER, before.rstrip(CONNECTORS))
    ending_V = np.array(
        [
            word == unchanged and not text.startswith(INCOMPLETE_CHARACTER)
            for word, text in zip(words, texts, strict=True)
        ]
    )
    ending_V[end] = True
    over_V = np.array([word.progress is WordProgress.OVER for word in words])
    return Effects(
        ending=np.flatnonzero(ending_V),
        open_V=np.array([_is_open(word.progress) for word in words]),
        closing_V=over_V & ~ending_V,
    )


def _progress(text: str) -> WordProgress:
    # An incomplete character decodes to a border, although it may become a letter.
    return first_word(text.rstrip(INCOMPLETE_CHARACTER)).progress


def _is_open(progress: WordProgress) -> bool:
    return progress in (WordProgress.BEFORE, WordProgress.INSIDE)


def _end_of(text: str) -> str:
    """The key in ``Spelling._effects`` of a text that is empty or one unfinished word."""
    if not text.strip():
        return ""
    return "a-" if text[-1] in CONNECTORS else "a"
