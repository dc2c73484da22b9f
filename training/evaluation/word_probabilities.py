"""How likely certain words are after every beginning of a sentence: P(are) and P(is), word by word.

For character and byte pair models a word's probability is that of its tokens, that is, of the
text going on with its letters. Does not know plots.
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
    log_probabilities,
    unknown_words,
)


@dataclass(frozen=True, slots=True)
class Trace:
    """``probabilities[word][k]`` is that of ``word`` after the first k + 1 words of the sentence.

    ``unknown`` are the words of the sentence that the model does not know; it reads on over them.
    """

    words: list[str]
    probabilities: dict[str, list[float]]
    unknown: list[str]

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def trace(
    network: LanguageModel,
    tokenizer: Tokenizer,
    sentence: str,
    words: Sequence[str],
    form: SentenceForm,
) -> Trace:
    """Reads every beginning of the sentence with every word after it.

    Raises:
        RecipeError: the sentence is empty, or a word is unknown to the model.
    """
    form = replace(form, full_stop=False)  # the sentence goes on
    parts = form.of(sentence).split()
    if not parts:
        raise RecipeError("--trace: the sentence is empty; give at least one word")
    beginnings = [form.placed(" ".join(parts[: count + 1])) for count in range(len(parts))]
    continuations = [
        _continuation(tokenizer, beginning, word) for word in words for beginning in beginnings
    ]
    found = log_probabilities(network, continuations, tokenizer.end)
    probabilities = {
        word: [math.exp(value) for value in found[place * len(parts) : (place + 1) * len(parts)]]
        for place, word in enumerate(words)
    }
    whole, lead = beginnings[-1], len(tokenizer.encode(form.lead))
    unknown = unknown_words(tokenizer.encode(whole), whole, tokenizer, skip=lead)
    return Trace(parts, probabilities, unknown)


def _continuation(tokenizer: Tokenizer, beginning: str, word: str) -> Continuation:
    start = len(tokenizer.encode(beginning))
    tokens = tokenizer.encode(f"{beginning} {word}")
    if tokenizer.unknown is not None and tokenizer.unknown in tokens[start:]:
        raise RecipeError(
            f"--words: {word!r} is unknown to the model; choose words of its vocabulary"
        )
    return Continuation(tokens, start)
