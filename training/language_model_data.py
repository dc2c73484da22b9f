"""The data of a language model run: documents read and split, a tokenizer, streams of tokens."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from model.tokenizer import Tokenizer
from model.tokenizer_training import (
    VocabularyError,
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from training.corpus import Stream, build_stream, hold_out, lines_of, looks_pretokenized
from training.language_model_recipe import LanguageModelRecipe
from training.provenance import digest_of_texts
from training.readers import DataError, read_documents

LARGEST_WORD_VOCABULARY = 50_000  # unless more are asked for
BPE_VOCABULARIES = (4_096, 2_048, 1_024, 512, 320, 258)
MARKED_UNKNOWN = "<unk>"  # a corpus that has it has chosen its words and its vocabulary already


@dataclass(frozen=True, slots=True)
class Documents:
    """Texts of both splits; ``held_out``: validation was taken from the training files."""

    train: list[str]
    valid: list[str]
    held_out: bool

    @property
    def digest(self) -> str:
        """Of all texts of both splits."""
        return digest_of_texts([*self.train, "", *self.valid])


def read_splits(recipe: LanguageModelRecipe) -> Documents:
    """Reads the files of the recipe; holds a share out where there is no validation file."""
    if not recipe.train:
        raise DataError("--train: give at least one file to train on")
    train = _read(recipe.train, recipe)
    if recipe.valid:
        return Documents(train, _read(recipe.valid, recipe), held_out=False)
    if recipe.holdout == 0:
        raise DataError("--valid: give validation files, or a --holdout above 0")
    kept, held = hold_out(train, recipe.holdout)
    if not held or not "".join(kept):
        raise DataError("--train: too little text to hold a part out; give more, or --valid")
    return Documents(kept, held, held_out=True)


def expanded(sources: Sequence[str]) -> list[str]:
    """Sources with environment variables and ``*`` filled in, so that recipes can travel."""
    found: list[str] = []
    for source in map(os.path.expandvars, sources):
        is_pattern = any(mark in source for mark in "*?[") and not Path(source).exists()
        matches = sorted(glob.glob(source)) if is_pattern else [source]  # noqa: PTH207
        if not matches:
            raise DataError(f"{source}: no file matches")
        found.extend(matches)
    return found


def make_tokenizer(recipe: LanguageModelRecipe, texts: Sequence[str]) -> Tokenizer:
    """The tokenizer of the recipe, its vocabulary taken from the training texts alone."""
    texts = [line for text in texts for line in lines_of(text)]
    if recipe.tokenizer == "bpe":
        return _bpe_tokenizer(recipe.vocabulary, texts)
    if recipe.tokenizer == "char":
        return train_char_tokenizer(
            texts, vocabulary=recipe.vocabulary, minimum_count=recipe.minimum_count or 1
        )
    return _word_tokenizer(recipe, texts)


def _bpe_tokenizer(vocabulary: int | None, texts: Sequence[str]) -> Tokenizer:
    """As large as asked for; if nothing was asked, as large as is usual and the data allows."""
    for size in () if vocabulary else BPE_VOCABULARIES:
        try:
            return train_bpe_tokenizer(texts, vocabulary=size)
        except VocabularyError:  # the data has fewer
            continue
    return train_bpe_tokenizer(texts, vocabulary=vocabulary or BPE_VOCABULARIES[-1])


def _word_tokenizer(recipe: LanguageModelRecipe, texts: Sequence[str]) -> Tokenizer:
    """Words seen once become [UNK], which must be met in training, unless the corpus marks it."""
    marked = any(MARKED_UNKNOWN in text for text in texts)
    pretokenized = recipe.pretokenized
    if pretokenized is None:  # the Penn Treebank has no punctuation to tell it by
        pretokenized = marked or looks_pretokenized(texts)
    minimum_count = recipe.minimum_count or (1 if marked else 2)
    if recipe.vocabulary is not None:
        return train_word_tokenizer(
            texts,
            vocabulary=recipe.vocabulary,
            minimum_count=recipe.minimum_count or 1,
            pretokenized=pretokenized,
        )
    try:
        return train_word_tokenizer(
            texts,
            vocabulary=LARGEST_WORD_VOCABULARY,
            minimum_count=minimum_count,
            pretokenized=pretokenized,
        )
    except VocabularyError:  # the data has fewer
        return train_word_tokenizer(
            texts, vocabulary=None, minimum_count=minimum_count, pretokenized=pretokenized
        )


def streams(documents: Documents, tokenizer: Tokenizer) -> tuple[Stream, Stream]:
    """Training and validation as tokens."""
    return build_stream(documents.train, tokenizer), build_stream(documents.valid, tokenizer)


def unknown_share(stream: Stream, tokenizer: Tokenizer) -> float:
    """How much of a stream is [UNK]."""
    if tokenizer.unknown is None:
        return 0.0
    return float((stream.tokens_N == tokenizer.unknown).mean())


def _read(sources: Sequence[str], recipe: LanguageModelRecipe) -> list[str]:
    return read_documents(expanded(sources), unit=recipe.unit, column=recipe.column)
