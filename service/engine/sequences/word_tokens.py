"""Next words of a word-level model, from one full distribution.

A token is a next word if it contains a word (see :mod:`service.engine.sequences.word_boundaries`)
and starts one: it begins with white space, or the prompt does not end inside a word. A word with a
leading space and the same word without one count as one. If the prompt ends in a half-typed word,
the next words are the tokens that begin with it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.tokenization.tokenizer import Tokenizer
from service.engine.sequences.prefix_index import PrefixIndex
from service.engine.sequences.word_boundaries import (
    WordStart,
    is_word_character,
    unfinished_word,
)
from service.kernel.api.filters import IdArray
from service.kernel.api.interface import FloatArray


class _Candidates(NamedTuple):
    """Tokens that are next words, and all tokens that agree with the prompt; None for any."""

    words: IdArray
    possible: IdArray | None


class WordVocabulary:
    """The tokens of a word tokenizer by the words they stand for. Shared by all requests.

    ``words``: all words, sorted. ``mass_W`` of the methods has their order.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        excluded = tokenizer.suppressed | {tokenizer.end}
        texts = [
            "" if token in excluded else tokenizer.text_of(token) for token in range(tokenizer.size)
        ]
        stripped = [text.strip() for text in texts]
        self.end = tokenizer.end
        self.words: Sequence[str] = sorted(set(stripped))
        index_of = {word: index for index, word in enumerate(self.words)}
        self._word_of_V = np.array([index_of[word] for word in stripped])
        self._index = PrefixIndex({token: text.encode() for token, text in enumerate(texts)})
        is_word_V = np.array([any(map(is_word_character, text)) for text in texts])
        spaced_V = np.array([text.startswith(" ") for text in texts])
        white_V = np.array([text[:1].isspace() for text in texts])
        self._anywhere = _Candidates(np.flatnonzero(is_word_V), None)
        self._after_word = _Candidates(np.flatnonzero(is_word_V & white_V), None)
        self._after_space = _Candidates(
            np.flatnonzero(is_word_V & spaced_V), np.flatnonzero(spaced_V)
        )

    def half_typed(self, prompt: str) -> WordStart | None:
        """The parts of a prompt that ends in the beginning of words; None for any other prompt.

        A word of the vocabulary is complete, even if longer words begin with it.
        """
        part = unfinished_word(prompt)
        context = prompt[: len(prompt) - len(part)]
        required = part
        if context.endswith(" "):
            context, required = context[:-1], " " + part
        prefix = required.encode()
        if not part or prefix in self._index or not len(self._index.starting_with(prefix)):
            return None
        return WordStart(context, "", required)

    def word_mass(self, logprobs_V: FloatArray, start: WordStart) -> NDArray[np.float64]:
        """The probability of each of :attr:`words` after ``start.context``, given that the text
        goes on with ``start.required``.
        """
        probabilities_V: NDArray[np.float64] = np.exp(logprobs_V.astype(np.float64))
        words, possible = self._candidates(start)
        total = 1.0 if possible is None else float(probabilities_V[possible].sum())
        probabilities_V /= max(total, sys.float_info.min)
        mass_W = np.bincount(
            self._word_of_V[words], weights=probabilities_V[words], minlength=len(self.words)
        )
        return mass_W.astype(np.float64, copy=False)  # counts have no weights if there is no word

    def _candidates(self, start: WordStart) -> _Candidates:
        if start.required == " ":
            return self._after_space
        if start.required:
            tokens = self._index.starting_with(start.required.encode())
            return _Candidates(tokens, tokens)
        return self._after_word if unfinished_word(start.context) else self._anywhere
