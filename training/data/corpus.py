"""The data of a language model run: where its text is, a tokenizer, streams of tokens.

Text is read as a stream, several times over rather than kept: to find what is held out, to choose a
vocabulary, to tokenize it into files. So neither text nor tokens need to fit into memory.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.errors import VocabularyError
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)
from training.config.language_model import LanguageModelRecipe
from training.data.provenance import digest_of_texts
from training.data.split_checks import tell_same_files
from training.data.token_store import TokenizedText, only_writer, read_tokens, write_tokens
from training.data.token_stream import Stream, looks_pretokenized, pieces_of
from training.data.validation_split import Place, parts_after, parts_before, place_to_cut
from training.errors import DataError
from training.readers.documents import Part, Unit, read_parts
from training.readers.files import opened_raw
from training.readers.sources import HUGGING_FACE

LARGEST_WORD_VOCABULARY = 50_000  # unless more are asked for
BPE_VOCABULARIES = (4_096, 2_048, 1_024, 512, 320, 258)
MARKED_UNKNOWN = "<unk>"  # a corpus that has it has chosen its words and its vocabulary already
TRAIN, VALID = "train", "valid"
READERS = 2  # changes where the same file is read as another text


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Documents of files, read anew each time they are asked for: all, or a part of them.

    ``before`` and ``after`` bound the part.
    """

    sources: tuple[str, ...]
    unit: Unit
    column: str | None
    header: bool | None = None
    before: Place | None = None
    after: Place | None = None

    def __iter__(self) -> Iterator[Part]:
        parts: Iterator[Part] = read_parts(
            self.sources, unit=self.unit, column=self.column, header=self.header
        )
        if self.before is not None:
            parts = parts_before(parts, self.before)
        return parts if self.after is None else parts_after(parts, self.after)


@dataclass(frozen=True, slots=True)
class Splits:
    """Texts of both splits; ``held_out``: validation is taken from the training files.

    ``digest`` is that of the files and of how they are read.
    """

    train: Documents
    valid: Documents
    held_out: bool
    digest: str


@dataclass(frozen=True, slots=True)
class Pieces:
    """The text of documents in pieces that can be tokenized one by one."""

    documents: Documents

    def __iter__(self) -> Iterator[str]:
        return (piece.text for piece in pieces_of(self.documents))


def find_splits(recipe: LanguageModelRecipe) -> Splits:
    """Finds the files of the recipe; holds a share out where there is no validation file.

    Raises:
        DataError: files are missing, or hold too little text for that.
    """
    if not recipe.train:
        raise DataError("--train: give at least one file to train on")
    if not recipe.valid and recipe.holdout == 0:
        raise DataError("--valid: give validation files, or a --holdout above 0")
    train, valid = _documents(recipe.train, recipe), _documents(recipe.valid, recipe)
    digest = _digest(recipe, train.sources, valid.sources)
    tell_same_files({TRAIN: train.sources, VALID: valid.sources})
    if recipe.valid:
        return Splits(train, valid, held_out=False, digest=digest)
    place = place_to_cut(train, recipe.holdout)
    if place is None:
        raise DataError("--train: too little text to hold a part out; give more, or --valid")
    kept, held = replace(train, before=place), replace(train, after=place)
    return Splits(kept, held, held_out=True, digest=digest)


def tokenized(
    recipe: LanguageModelRecipe, splits: Splits, cache: Path, tokenizer: Tokenizer | None
) -> TokenizedText:
    """The splits as tokens, in files below ``cache``: those that are there, or else written now.

    Args:
        recipe: how to make a tokenizer.
        splits: what is tokenized.
        cache: where the files are; those of other texts and tokenizers may stand beside them.
        tokenizer: what must be used, if that is decided.

    Raises:
        DataError, VocabularyError: the data cannot be used.
        OutputError: the files cannot be written.
    """
    key = _key(recipe, splits)
    folder = cache / key[:16]
    with only_writer(folder):
        found = read_tokens(folder, key)
        if found is None or (tokenizer and found.tokenizer.to_json() != tokenizer.to_json()):
            tokenizer = tokenizer or make_tokenizer(recipe, Pieces(splits.train))
            write_tokens(folder, key, tokenizer, {TRAIN: splits.train, VALID: splits.valid})
            found = read_tokens(folder, key)
    if found is None:
        raise DataError(f"{folder}: the tokens written there are not what is read; check the disk")
    return found


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


def make_tokenizer(recipe: LanguageModelRecipe, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer of the recipe, its vocabulary taken from the training texts alone.

    ``texts`` is read several times from its beginning.
    """
    if recipe.tokenizer == "bpe":
        return _bpe_tokenizer(recipe.vocabulary, texts)
    if recipe.tokenizer == "char":
        return train_char_tokenizer(
            texts, vocabulary=recipe.vocabulary, minimum_count=recipe.minimum_count or 1
        )
    return _word_tokenizer(recipe, texts)


def _bpe_tokenizer(vocabulary: int | None, texts: Iterable[str]) -> Tokenizer:
    """As large as asked for; if nothing was asked, as large as is usual and the data allows."""
    for size in () if vocabulary else BPE_VOCABULARIES:
        try:
            return train_bpe_tokenizer(texts, vocabulary=size)
        except VocabularyError:  # the data has fewer
            continue
    return train_bpe_tokenizer(texts, vocabulary=vocabulary or BPE_VOCABULARIES[-1])


def _word_tokenizer(recipe: LanguageModelRecipe, texts: Iterable[str]) -> Tokenizer:
    """Words seen once become [UNK], which must be met in training, unless the corpus marks it."""
    marked = any(MARKED_UNKNOWN in text for text in texts)
    pretokenized = recipe.pretokenized
    if pretokenized is None:  # the Penn Treebank has no punctuation to tell it by
        pretokenized = marked or looks_pretokenized(texts)
    if recipe.vocabulary is not None:
        return train_word_tokenizer(
            texts,
            vocabulary=recipe.vocabulary,
            minimum_count=recipe.minimum_count or 1,
            pretokenized=pretokenized,
        )
    minimum_count = recipe.minimum_count or (1 if marked else 2)
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


def unknown_share(stream: Stream, tokenizer: Tokenizer) -> float:
    """How much of a stream is [UNK]."""
    if tokenizer.unknown is None:
        return 0.0
    return float(stream.counts(tokenizer.size)[tokenizer.unknown] / len(stream))


def _documents(sources: Sequence[str], recipe: LanguageModelRecipe) -> Documents:
    return Documents(
        sources=tuple(expanded(sources)),
        unit=recipe.unit,
        column=recipe.column,
        header=recipe.header,
    )


def _digest(recipe: LanguageModelRecipe, train: Sequence[str], valid: Sequence[str]) -> str:
    values = {
        TRAIN: [_digest_of_source(source, recipe.column) for source in train],
        VALID: [_digest_of_source(source, recipe.column) for source in valid] or recipe.holdout,
        "unit": recipe.unit,
        "column": recipe.column,
    }
    if recipe.header is not None:  # absent, so that earlier runs keep their digest
        values["header"] = recipe.header
    return _digest_of_values(values)


def _digest_of_source(source: str, column: str | None) -> str:
    if source.startswith(HUGGING_FACE):
        return digest_of_texts(part.text for part in read_parts([source], column=column))
    with opened_raw(Path(source)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(recipe: LanguageModelRecipe, splits: Splits) -> str:
    """Differs where tokens would."""
    options = ("tokenizer", "vocabulary", "minimum_count", "pretokenized")
    values = {name: getattr(recipe, name) for name in options}
    versions = {"tokenizers": version("tokenizers"), "readers": READERS}
    return _digest_of_values({"data": splits.digest, **versions, **values})


def _digest_of_values(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
