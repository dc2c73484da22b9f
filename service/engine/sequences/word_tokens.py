"""Next words of a word-level model, from one full distribution.

A token is a next word if it contains a word (see :mod:`service.engine.sequences.word_boundaries`)
and starts one: it begins with white space, or the prompt does not end inside a word. A word with a
leading space and the same word without one count as one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.tokenization.tokenizer import Tokenizer
from service.engine.sequences.word_boundaries import is_word_character, unfinished_word
from service.kernel.api.interface import FloatArray


class WordVocabulary:
    """The tokens of a word tokenizer by the words they stand for. Shared by all requests."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        excluded = tokenizer.suppressed | {tokenizer.end}
        texts = [
            "" if token in excluded else tokenizer.text_of(token) for token in range(tokenizer.size)
        ]
        self._is_word_V = np.array([any(map(is_word_character, text)) for text in texts])
        self._spaced_V = np.array([text.startswith(" ") for text in texts])
        self._white_V = np.array([text[:1].isspace() for text in texts])
        stripped = [text.strip() for text in texts]
        self._words = sorted(set(stripped))
        index_of = {word: index for index, word in enumerate(self._words)}
        self._word_of_V = np.array([index_of[text] for text in stripped])

    def probabilities(
        self, logprobs_V: FloatArray, context: str, *, after_space: bool
    ) -> dict[str, float]:
        """Words and their probabilities after ``context``.

        ``after_space``: the prompt continues with one more space. Only tokens that begin with a
        space are then possible, and the distribution is normalized over them.
        """
        probabilities_V: NDArray[np.float64] = np.exp(logprobs_V.astype(np.float64))
        allowed_V = self._is_word_V
        if after_space:
            allowed_V = allowed_V & self._spaced_V
            possible = probabilities_V[self._spaced_V].sum()
            probabilities_V = probabilities_V / max(possible, np.finfo(np.float64).tiny)
        elif unfinished_word(context):
            allowed_V = allowed_V & self._white_V
        mass_W = np.bincount(
            self._word_of_V[allowed_V],
            weights=probabilities_V[allowed_V],
            minlength=len(self._words),
        )
        possible_words = np.flatnonzero(mass_W)
        return {self._words[index]: float(mass_W[index]) for index in possible_words}
