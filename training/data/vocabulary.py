"""The tokenizer of a classifier, and word vectors from a file.

The most frequent words of the file join the vocabulary, so the model has words that no
training document has. All other words become [UNK], which is learned from rare training words.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from model.embeddings import Vector, embedding_matrix, words_of
from model.errors import VocabularyError
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from training.config.classifier import ClassifierRecipe
from training.config.shared_options import DEFAULT_WORD_VOCABULARY
from training.errors import RecipeError
from training.readers.vector_files import first_words, read_vectors

WordVectors = dict[str, Vector]

BPE_VOCABULARY = 4_096  # or fewer, if the text has fewer
SMALLEST_BPE_VOCABULARY = 258


def load_vectors(recipe: ClassifierRecipe, texts: Sequence[str]) -> WordVectors:
    """The vectors of the words in ``texts`` and of the most frequent words of the file.

    Empty without a file.

    Raises:
        RecipeError: the tokenizer has no words, or the file has no word of the texts.
        DataError: the file cannot be read.
    """
    if recipe.vectors is None:
        return {}
    if recipe.tokenizer not in (None, "word"):
        raise RecipeError(
            f"--vectors: has words, but --tokenizer is {recipe.tokenizer}; leave one out"
        )
    path = Path(os.path.expandvars(recipe.vectors))
    words = words_of(train_word_tokenizer(texts, vocabulary=None, lossless=False))
    vectors = read_vectors(path, words.union(first_words(path, recipe.vector_words)))
    if words.isdisjoint(vectors):
        raise RecipeError(f"--vectors: {path} has none of the words of the training data")
    return vectors


def train_classifier_tokenizer(
    recipe: ClassifierRecipe, texts: Sequence[str], vectors: WordVectors
) -> Tokenizer:
    """The tokenizer of the recipe, with the vocabulary of the training texts and the vectors.

    Raises:
        VocabularyError: the texts have fewer words than the recipe requires.
    """
    minimum = recipe.minimum_count or 1
    if recipe.tokenizer == "bpe":
        return _bpe_tokenizer(texts, recipe.vocabulary)
    if recipe.tokenizer == "char":
        return train_char_tokenizer(texts, vocabulary=recipe.vocabulary, minimum_count=minimum)
    # The vectors are in the order of their file. Its first words are repeated to reach ``minimum``.
    frequent = itertools.islice(vectors, recipe.vector_words)
    known = [word for word in frequent for _ in range(minimum)]

    def train(vocabulary: int | None) -> Tokenizer:
        return train_word_tokenizer(
            itertools.chain(texts, known),
            vocabulary=vocabulary,
            minimum_count=minimum,
            lossless=False,
        )

    if recipe.vocabulary is not None:
        return train(recipe.vocabulary)
    tokenizer = train(None)
    return (
        tokenizer if tokenizer.size <= DEFAULT_WORD_VOCABULARY else train(DEFAULT_WORD_VOCABULARY)
    )


def initial_embedding(
    recipe: ClassifierRecipe, tokenizer: Tokenizer, vectors: WordVectors
) -> tuple[Tensor, int] | None:
    """The initial embedding (V, E) and the number of tokens with a vector; None without vectors.

    Raises:
        RecipeError: ``--embedding`` is not the size of the vectors.
    """
    if not vectors:
        return None
    width = len(next(iter(vectors.values())))
    if recipe.embedding not in (None, width):
        raise RecipeError(
            f"--embedding {recipe.embedding}: the vectors have {width} numbers; leave it out"
        )
    generator = torch.Generator().manual_seed(recipe.seed)
    return embedding_matrix(tokenizer, vectors, width, generator)


def unknown_share_of_documents(tokens: Sequence[Sequence[int]], tokenizer: Tokenizer) -> float:
    """The share of [UNK] in documents."""
    if tokenizer.unknown is None:
        return 0.0
    unknown = sum(list(document).count(tokenizer.unknown) for document in tokens)
    return unknown / sum(map(len, tokens))


def _bpe_tokenizer(texts: Sequence[str], size: int | None) -> Tokenizer:
    if size is not None:
        return train_bpe_tokenizer(texts, vocabulary=size)
    size = BPE_VOCABULARY
    while size > SMALLEST_BPE_VOCABULARY:
        try:
            return train_bpe_tokenizer(texts, vocabulary=size)
        except VocabularyError:  # the texts have fewer
            size = max(size // 2, SMALLEST_BPE_VOCABULARY)
    return train_bpe_tokenizer(texts, vocabulary=SMALLEST_BPE_VOCABULARY)
