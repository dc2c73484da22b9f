"""The text of a language model run: its splits, its tokenizer and its token streams.

Text is read as a stream, once for each purpose (to find the validation split, to make a vocabulary,
to tokenize), so that neither text nor tokens need to fit into memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from training.config.shared_options import DEFAULT_WORD_VOCABULARY
from training.data.provenance import digest_of_texts, source_record
from training.data.split_checks import warn_same_files
from training.data.token_store import (
    TokenizedText,
    exclusive_writer,
    read_tokenized_text,
    write_tokenized_text,
)
from training.data.token_stream import TokenStream, looks_pretokenized, split_pieces
from training.data.tokenizer_choice import choose_for_language_model
from training.data.validation_split import TextPosition, find_cut, parts_after, parts_before
from training.errors import DataError
from training.readers.documents import DocumentPart, Unit, read_parts
from training.readers.files import open_raw
from training.readers.folders import files_in, is_folder
from training.readers.notices import LOG
from training.readers.sources import HUGGING_FACE_PREFIX, expand_sources

BPE_VOCABULARY_SIZES = (4_096, 2_048, 1_024, 512, 320, 258)
UNKNOWN_MARK = "<unk>"  # in corpora with a vocabulary of their own
TRAIN, VALID, TEST = "train", "valid", "test"
READER_VERSION = 2  # of the readers; a new one invalidates tokenized text


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSplit:
    """The documents of a split, read from their files in each iteration.

    ``before`` is the end and ``after`` the beginning of the split within the files, None for all.
    """

    sources: tuple[str, ...]
    unit: Unit
    column: str | None
    header: bool | None = None
    before: TextPosition | None = None
    after: TextPosition | None = None

    def __iter__(self) -> Iterator[DocumentPart]:
        parts: Iterator[DocumentPart] = read_parts(
            self.sources, unit=self.unit, column=self.column, header=self.header
        )
        if self.before is not None:
            parts = parts_before(parts, self.before)
        return parts if self.after is None else parts_after(parts, self.after)


@dataclass(frozen=True, slots=True)
class TextSplits:
    """Training and validation split.

    Args:
        train: the training split.
        valid: the validation split.
        test: the test split, if there is one.
        held_out: whether the validation split was taken from the training files.
        digest: a digest of the files and of the options for reading them.
    """

    train: TextSplit
    valid: TextSplit
    test: TextSplit | None
    held_out: bool
    digest: str

    def by_name(self) -> dict[str, TextSplit]:
        """The splits that there are."""
        test = {} if self.test is None else {TEST: self.test}
        return {TRAIN: self.train, VALID: self.valid, **test}


@dataclass(frozen=True, slots=True)
class TextPieces:
    """The text of documents in pieces that can be tokenized independently."""

    documents: TextSplit

    def __iter__(self) -> Iterator[str]:
        return (piece.text for piece in split_pieces(self.documents))


def find_splits(recipe: LanguageModelRecipe) -> TextSplits:
    """The splits of a recipe; without validation files a part of the training text is held out.

    Raises:
        DataError: files are missing, or hold too little text.
    """
    if not recipe.train:
        raise DataError("--train: give at least one file to train on")
    if not recipe.valid and recipe.holdout == 0:
        raise DataError("--valid: give validation files, or a --holdout above 0")
    train, valid = _documents(recipe.train, recipe), _documents(recipe.valid, recipe)
    test = _documents(recipe.test, recipe) if recipe.test else None
    tested = () if test is None else test.sources
    digest = _digest(recipe, train.sources, valid.sources, tested)
    warn_same_files({TRAIN: train.sources, VALID: valid.sources, TEST: tested})
    if recipe.valid:
        return TextSplits(train, valid, test, held_out=False, digest=digest)
    place = find_cut(train, recipe.holdout)
    if place is None:
        raise DataError("--train: too little text to hold out a part of it; give more, or --valid")
    kept, held = replace(train, before=place), replace(train, after=place)
    return TextSplits(kept, held, test, held_out=True, digest=digest)


def estimated_characters(split: TextSplit) -> int:
    """About the number of characters in the files of a split, at most their bytes; at least 1."""
    paths = [Path(source) for source in split.sources]
    files = [file for path in paths for file in (files_in(path) if path.is_dir() else [path])]
    return max(1, sum(file.stat().st_size for file in files if file.is_file()))


def with_chosen_tokenizer(recipe: LanguageModelRecipe, splits: TextSplits) -> LanguageModelRecipe:
    """The recipe with a tokenizer in place of ``auto``; a notice gives the reason."""
    if recipe.tokenizer != "auto":
        return recipe
    choice = choose_for_language_model(TextPieces(splits.train))
    LOG.info("--tokenizer auto: %s, since %s", choice.tokenizer, choice.reason)
    return replace(recipe, tokenizer=choice.tokenizer)


def tokenize_splits(
    recipe: LanguageModelRecipe,
    splits: TextSplits,
    cache: Path,
    tokenizer: Tokenizer | None,
    on_progress: Callable[[str, int], None] = lambda *_: None,
) -> TokenizedText:
    """The tokens of the splits, from files below ``cache``, which are written if they are missing.

    Args:
        recipe: the options of the tokenizer.
        splits: the text.
        cache: the directory; it may hold the tokens of other texts and tokenizers, too.
        tokenizer: the tokenizer; None to make one of the training split.
        on_progress: receives the name of a split and how many of its characters are tokenized.

    Raises:
        DataError, VocabularyError: the data cannot be used.
        OutputError: the files cannot be written.
    """
    key = _key(recipe, splits)
    folder = cache / key[:16]
    with exclusive_writer(folder):
        text = read_tokenized_text(folder, key)
        if text is None or (tokenizer and text.tokenizer.to_json() != tokenizer.to_json()):
            tokenizer = tokenizer or train_language_model_tokenizer(
                recipe, TextPieces(splits.train)
            )
            write_tokenized_text(folder, key, tokenizer, splits.by_name(), on_progress)
            text = read_tokenized_text(folder, key)
    if text is None:
        raise DataError(f"{folder}: the tokens read differ from those written; check the disk")
    return text


def train_language_model_tokenizer(recipe: LanguageModelRecipe, texts: Iterable[str]) -> Tokenizer:
    """The tokenizer of the recipe, with the vocabulary of the training texts.

    ``texts`` is iterated several times.
    """
    if recipe.tokenizer == "bpe":
        return _bpe_tokenizer(recipe.vocabulary, texts)
    if recipe.tokenizer == "char":
        return train_char_tokenizer(
            texts, vocabulary=recipe.vocabulary, minimum_count=recipe.minimum_count or 1
        )
    return _word_tokenizer(recipe, texts)


def _bpe_tokenizer(vocabulary: int | None, texts: Iterable[str]) -> Tokenizer:
    """A BPE tokenizer; without ``vocabulary`` the largest usual one that the text allows."""
    for size in () if vocabulary else BPE_VOCABULARY_SIZES:
        try:
            return train_bpe_tokenizer(texts, vocabulary=size)
        except VocabularyError:  # the text has fewer
            continue
    return train_bpe_tokenizer(texts, vocabulary=vocabulary or BPE_VOCABULARY_SIZES[-1])


def _word_tokenizer(recipe: LanguageModelRecipe, texts: Iterable[str]) -> Tokenizer:
    """A word tokenizer; words seen once become [UNK] unless the corpus marks unknown words."""
    marked = any(UNKNOWN_MARK in text for text in texts)
    pretokenized = recipe.pretokenized
    if pretokenized is None:  # the Penn Treebank has no punctuation to detect it by
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
            vocabulary=DEFAULT_WORD_VOCABULARY,
            minimum_count=minimum_count,
            pretokenized=pretokenized,
        )
    except VocabularyError:  # the text has fewer
        return train_word_tokenizer(
            texts, vocabulary=None, minimum_count=minimum_count, pretokenized=pretokenized
        )


def unknown_share_of_stream(stream: TokenStream, tokenizer: Tokenizer) -> float:
    """The share of [UNK] in a stream."""
    if tokenizer.unknown is None:
        return 0.0
    return float(stream.counts(tokenizer.size)[tokenizer.unknown] / len(stream))


def _documents(sources: Sequence[str], recipe: LanguageModelRecipe) -> TextSplit:
    return TextSplit(
        sources=tuple(expand_sources(sources)),
        unit=recipe.unit,
        column=recipe.column,
        header=recipe.header,
    )


def _digest(
    recipe: LanguageModelRecipe, train: Sequence[str], valid: Sequence[str], test: Sequence[str]
) -> str:
    values = {
        TRAIN: [_digest_of_source(source, recipe.column) for source in train],
        VALID: [_digest_of_source(source, recipe.column) for source in valid] or recipe.holdout,
        "unit": recipe.unit,
        "column": recipe.column,
    }
    if test:
        values[TEST] = [_digest_of_source(source, recipe.column) for source in test]
    if recipe.header is not None:  # left out otherwise, so that earlier runs keep their digest
        values["header"] = recipe.header
    if recipe.encoding is not None:
        values["encoding"] = recipe.encoding
    return _digest_of_values(values)


def _digest_of_source(source: str, column: str | None) -> str:
    if source.startswith(HUGGING_FACE_PREFIX):
        return digest_of_texts(part.text for part in read_parts([source], column=column))
    if is_folder(source):
        return str(source_record(source)["sha256"])
    with open_raw(Path(source)) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(recipe: LanguageModelRecipe, splits: TextSplits) -> str:
    """A digest of everything that the tokens depend on."""
    options = ("tokenizer", "vocabulary", "minimum_count", "pretokenized")
    values = {name: getattr(recipe, name) for name in options}
    versions = {"tokenizers": version("tokenizers"), "readers": READER_VERSION}
    return _digest_of_values({"data": splits.digest, **versions, **values})


def _digest_of_values(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
