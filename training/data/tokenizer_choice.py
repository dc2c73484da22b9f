"""The tokenizer of ``--tokenizer auto``, by a sample of the text.

Words are the default: their models are the smallest for a text that words suit. They do not suit a
script without spaces between words, nor a text with many words that occur once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from training.data.unknown_words import SCRIPT_SHARE, WARNING_SHARE, share_without_spaces

SAMPLE_CHARACTERS = 2_000_000
HELD_OUT_SHARE = 0.1  # of the words of the sample, at its end
MINIMUM_COUNT = 2  # of a word that is known, as in training
MOST_WORDS_OF_NAMES = 1.5  # on average in a text, for texts to be single words
WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")


class TokenizerChoice(NamedTuple):
    """A tokenizer and the reason for it, as a phrase."""

    tokenizer: Literal["word", "char", "bpe"]
    reason: str


def choose_for_language_model(texts: Iterable[str]) -> TokenizerChoice:
    """The tokenizer for a language model of texts, of which the beginning is read."""
    sample = _sample(texts)
    script = share_without_spaces(sample)
    if script > SCRIPT_SHARE:
        return _without_spaces(script)
    unknown = unknown_share(sample)
    if unknown > WARNING_SHARE:
        return TokenizerChoice(
            "bpe", f"{unknown:.0%} of the words of new text would be unknown to a word tokenizer"
        )
    return TokenizerChoice(
        "word", f"{unknown:.0%} of the words of new text will be unknown, which is few"
    )


def choose_for_classifier(texts: Sequence[str]) -> TokenizerChoice:
    """The tokenizer for a classifier of texts."""
    sample = _sample(texts)
    script = share_without_spaces(sample)
    if script > SCRIPT_SHARE:
        return _without_spaces(script)
    words = sum(len(text.split()) for text in sample) / max(1, len(sample))
    unknown = unknown_share(sample)
    if words <= MOST_WORDS_OF_NAMES and unknown > WARNING_SHARE:
        return TokenizerChoice(
            "char", f"most texts are one word, and {unknown:.0%} of new words would be unknown"
        )
    return TokenizerChoice("word", "the texts have spaces between words")


def unknown_share(texts: Sequence[str]) -> float:
    """The share of words in the last texts that the others do not have at least twice."""
    words = [word for text in texts for word in WORD.findall(text)]
    cut = round((1 - HELD_OUT_SHARE) * len(words))
    counts = Counter(words[:cut])
    held = words[cut:]
    return sum(counts[word] < MINIMUM_COUNT for word in held) / max(1, len(held))


def _without_spaces(share: float) -> TokenizerChoice:
    return TokenizerChoice(
        "char", f"{share:.0%} of the letters are of a script without spaces between words"
    )


def _sample(texts: Iterable[str]) -> list[str]:
    taken, left = list[str](), SAMPLE_CHARACTERS
    for text in texts:
        taken.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return taken
