"""What a classifier knows of words before it is trained: its tokenizer, and vectors from a file.

Words that no training document holds can still be understood if the file has a vector for them, so
the most frequent words of the file join the vocabulary. Everything else becomes [UNK], which is
learned from the rare words of the training data.
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
from training.errors import RecipeError
from training.readers.vector_files import first_words, read_vectors

Vectors = dict[str, Vector]

LARGEST_WORD_VOCABULARY = 50_000  # unless more are asked for
BPE_VOCABULARY = 4_096  # or less where the data has not so many
SMALLEST_BPE_VOCABULARY = 258


def load_vectors(recipe: ClassifierRecipe, texts: Sequence[str]) -> Vectors:
    """The vectors of the texts' words and of the file's most frequent words; none without a file.

    Raises:
        RecipeError: the tokenizer has no words, or the file none of the texts' words.
        DataError: the file cannot be read.
    """
    if recipe.vectors is None:
        return {}
    if recipe.tokenizer not in (None, "word"):
        raise RecipeError(
            f"--vectors: hold words, but --tokenizer is {recipe.tokenizer}; leave one out"
        )
    path = Path(os.path.expandvars(recipe.vectors))
    words = words_of(train_word_tokenizer(texts, vocabulary=None, lossless=False))
    vectors = read_vectors(path, words.union(first_words(path, recipe.vector_words)))
    if words.isdisjoint(vectors):
        raise RecipeError(f"--vectors: {path} has none of the words of the training data")
    return vectors


def make_tokenizer(recipe: ClassifierRecipe, texts: Sequence[str], vectors: Vectors) -> Tokenizer:
    """The tokenizer of the recipe, its vocabulary from the training texts and the vectors.

    Raises:
        VocabularyError: the texts do not have the vocabulary asked for.
    """
    minimum = recipe.minimum_count or 1
    if recipe.tokenizer == "bpe":
        return _bpe_tokenizer(texts, recipe.vocabulary)
    if recipe.tokenizer == "char":
        return train_char_tokenizer(texts, vocabulary=recipe.vocabulary, minimum_count=minimum)
    # The vectors are in the order of their file; its first words count as often as they must.
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
        tokenizer if tokenizer.size <= LARGEST_WORD_VOCABULARY else train(LARGEST_WORD_VOCABULARY)
    )


def make_embedding(
    recipe: ClassifierRecipe, tokenizer: Tokenizer, vectors: Vectors
) -> tuple[Tensor, int] | None:
    """The embedding (V, E) to begin from and how many tokens have a vector; None without vectors.

    Raises:
        RecipeError: the embedding asked for is not as wide as the vectors.
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


def unknown_share(tokens: Sequence[Sequence[int]], tokenizer: Tokenizer) -> float:
    """How much of the documents is [UNK]."""
    if tokenizer.unknown is None:
        return 0.0
    unknown = sum(list(document).count(tokenizer.unknown) for document in tokens)
    return unknown / sum(map(len, tokens))


def _bpe_tokenizer(texts: Sequence[str], asked: int | None) -> Tokenizer:
    if asked is not None:
        return train_bpe_tokenizer(texts, vocabulary=asked)
    size = BPE_VOCABULARY
    while size > SMALLEST_BPE_VOCABULARY:
        try:
            return train_bpe_tokenizer(texts, vocabulary=size)
        except VocabularyError:  # the data has not so many
            size = max(size // 2, SMALLEST_BPE_VOCABULARY)
    return train_bpe_tokenizer(texts, vocabulary=SMALLEST_BPE_VOCABULARY)
