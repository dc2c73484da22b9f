"""Made-up documents that belong to no label, which a classifier is trained to be unsure about.

A network that has seen only texts of its labels is sure of any text: one label gets the unknown
words, another the short texts. Documents of noise have the uniform distribution as their target
(outlier exposure, Hendrycks et al., 2019), for a multi-label classifier no label, and are made anew
in each epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.tokenization.tokenizer import Tokenizer
from training.config.classifier import ClassifierRecipe
from training.data.batching import EncodedDocuments
from training.data.examples import OUT_OF_SCOPE_INDEX

FREQUENT = 100  # tokens


def with_recipe_noise(
    recipe: ClassifierRecipe, documents: EncodedDocuments, tokenizer: Tokenizer, *, epoch: int
) -> EncodedDocuments:
    """The documents and noise, made of the tokens of a tokenizer; another one in each epoch."""
    count = round((recipe.noise or 0.0) * len(documents))
    if count == 0:
        return documents
    random = np.random.default_rng((recipe.seed, epoch, count, tokenizer.size))
    lengths = random.choice(documents.lengths, count)
    signs = [i for i, text in enumerate(tokenizer.vocabulary()) if _has_no_letter(text)]
    noise = [_noise(random, int(length), tokenizer, signs) for length in lengths]
    labels = documents.labels
    if isinstance(labels, np.ndarray):
        none = np.zeros((count, labels.shape[1]), dtype=np.bool_)
        return EncodedDocuments([*documents.tokens, *noise], np.concatenate([labels, none]))
    return EncodedDocuments([*documents.tokens, *noise], [*labels, *[OUT_OF_SCOPE_INDEX] * count])


def _noise(
    random: np.random.Generator, length: int, tokenizer: Tokenizer, signs: Sequence[int]
) -> Sequence[int]:
    """Random tokens, mostly unknown ones, a few frequent ones or signs, or [END] alone."""
    end, unknown = tokenizer.end, tokenizer.unknown
    length = int(random.integers(1, length + 1)) if random.random() < 0.5 else length
    kind = random.random()
    if kind < 0.02:
        return [end]
    tokens = random.integers(0, end, length)
    if kind < 0.12:  # the ids of words and characters are their ranks by frequency
        tokens = random.choice(random.integers(0, min(end, FREQUENT), 4), length)
    elif kind < 0.27 and signs:
        tokens = random.choice(signs, length)
    elif unknown is not None and kind < 0.8:
        share = 1.0 if kind < 0.5 else random.random()
        tokens[random.random(length) < share] = unknown
    return [int(token) for token in tokens]


def _has_no_letter(text: str) -> bool:
    """Whether a token is a number or punctuation."""
    return text.strip() != "" and not any(character.isalpha() for character in text)
