"""Probabilities of given words after every prefix of a sentence, such as P(are) and P(is).

For character and byte pair models, the probability of a word is that of its tokens: of the text
going on with its letters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.errors import RecipeError
from training.evaluation.sentence_scores import (
    Continuation,
    SentenceForm,
    score_continuations,
    unknown_words,
)


@dataclass(frozen=True, slots=True)
class WordProbabilities:
    """Probabilities of words along a sentence.

    Attributes:
        words: the words of the sentence.
        probabilities: ``probabilities[word][k]`` is that of ``word`` after the first k + 1 words.
        unknown: words of the sentence that are not in the vocabulary.
    """

    words: list[str]
    probabilities: dict[str, list[float]]
    unknown: list[str]

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return asdict(self)


def trace_words(
    network: LanguageModel,
    tokenizer: Tokenizer,
    sentence: str,
    words: Sequence[str],
    form: SentenceForm,
) -> WordProbabilities:
    """Computes the probability of each of ``words`` after every prefix of ``sentence``.

    The form's full stop is not added, because the words continue the sentence.

    Raises:
        RecipeError: the sentence is empty, or one of ``words`` is not in the vocabulary.
    """
    form = replace(form, full_stop=False)
    sentence_words = form.apply(sentence).split()
    if not sentence_words:
        raise RecipeError("--trace: the sentence is empty; give at least one word")
    count = len(sentence_words)
    prefixes = [form.in_context(" ".join(sentence_words[: k + 1])) for k in range(count)]
    continuations = [
        _continuation(tokenizer, prefix, word) for word in words for prefix in prefixes
    ]
    scores = score_continuations(network, continuations, tokenizer.end)
    probabilities = {
        word: [math.exp(score) for score in scores[index * count : (index + 1) * count]]
        for index, word in enumerate(words)
    }
    text, context_length = prefixes[-1], len(tokenizer.encode(form.context))
    unknown = unknown_words(tokenizer.encode(text), text, tokenizer, skip=context_length)
    return WordProbabilities(sentence_words, probabilities, unknown)


def _continuation(tokenizer: Tokenizer, prefix: str, word: str) -> Continuation:
    start = len(tokenizer.encode(prefix))
    tokens = tokenizer.encode(f"{prefix} {word}")
    if tokenizer.unknown is not None and tokenizer.unknown in tokens[start:]:
        raise RecipeError(
            f"--words: {word!r} is unknown to the model; give words of its vocabulary"
        )
    return Continuation(tokens, start)
