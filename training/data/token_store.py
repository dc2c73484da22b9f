"""Tokenized text on disk: written as a stream, read through a memory map, so of any size.

A directory holds ``tokenizer.json``, for each split the tokens in the smallest integer type that
fits and the positions of its documents, and ``index.json`` with a key, sizes and checksums. It is
written under another name and renamed when it is complete.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from model.errors import ArtifactError
from model.manifest import TOKENIZER_FILE
from model.tokenization.tokenizer import Tokenizer
from training.data.token_stream import TokenStream, encode_parts
from training.errors import OutputError
from training.readers.documents import DocumentPart

TOKEN_FORMAT = 1
INDEX_FILE = "index.json"
TOKENS_SUFFIX, BORDERS_SUFFIX = ".tokens", ".borders"
CHECKSUM_BLOCK_BYTES = 2**20  # read at a time


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """A stream in a file, and the number of characters of its text."""

    stream: TokenStream
    characters: int


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """Splits by name, and their tokenizer."""

    tokenizer: Tokenizer
    splits: Mapping[str, TokenizedSplit]


def read_tokenized_text(folder: Path, key: str) -> TokenizedText | None:
    """The text that :func:`write_tokenized_text` wrote; None if it is missing or damaged."""
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
        if (index["format"], index["key"]) != (TOKEN_FORMAT, key):
            return None
        tokenizer = Tokenizer.load(folder / TOKENIZER_FILE)
        splits = {
            name: _read_split(folder, name, entry, tokenizer.end)
            for name, entry in index["splits"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArtifactError):
        return None
    return TokenizedText(tokenizer, splits)


def write_tokenized_text(
    folder: Path,
    key: str,
    tokenizer: Tokenizer,
    splits: Mapping[str, Iterable[DocumentPart]],
    on_progress: Callable[[str, int], None] = lambda *_: None,
) -> None:
    """Tokenizes the splits and replaces ``folder`` with the result.

    ``on_progress`` receives the name of a split and how many of its characters are tokenized.

    Raises:
        OutputError: the disk is full, or the folder cannot be made; no files are left.
        DataError: a split cannot be read.
    """
    draft = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        entries = {
            name: _write_split(draft, name, parts, tokenizer, partial(on_progress, name))
            for name, parts in splits.items()
        }
        tokenizer.save(draft / TOKENIZER_FILE)
        index = {"format": TOKEN_FORMAT, "key": key, "splits": entries}
        (draft / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        for name in (TOKENIZER_FILE, INDEX_FILE, "."):
            _flush(draft / name)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    except OSError as error:
        raise OutputError(
            f"{folder}: the tokens cannot be written: {error.strerror or error}; free space, or "
            "choose another --out or --token-cache"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def exclusive_writer(folder: Path) -> Iterator[None]:
    """A block that one process at a time enters for ``folder``; others wait.

    Raises:
        OutputError: the folder's parent cannot be made or written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(folder.name + ".lock").open("w")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror or error}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the process ends
        yield


class _ArrayFile:
    """A file of integers of one type, to which arrays are appended, and its checksum."""

    def __init__(self, path: Path, kind: npt.DTypeLike) -> None:
        self._file = path.open("wb")
        self._kind = kind
        self.length = 0
        self.checksum = 0

    def append(self, values_N: npt.NDArray[np.int64]) -> None:
        content = values_N.astype(self._kind).tobytes()
        self._file.write(content)
        self.length += len(values_N)
        self.checksum = zlib.crc32(content, self.checksum)

    def entry(self) -> dict[str, Any]:
        """The description of the file for :func:`_mapped`."""
        kind = np.dtype(self._kind).name
        return {"length": self.length, "type": kind, "checksum": self.checksum}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


def _write_split(
    folder: Path,
    name: str,
    parts: Iterable[DocumentPart],
    tokenizer: Tokenizer,
    on_progress: Callable[[int], None],
) -> dict[str, Any]:
    characters = 0
    with (
        _ArrayFile(
            folder / (name + TOKENS_SUFFIX), np.min_scalar_type(tokenizer.size - 1)
        ) as tokens,
        _ArrayFile(folder / (name + BORDERS_SUFFIX), np.int64) as borders,
    ):
        for batch in encode_parts(parts, tokenizer):
            borders.append(batch.borders_D + tokens.length)
            tokens.append(batch.tokens_N)
            characters += batch.characters
            on_progress(characters)
        return {"tokens": tokens.entry(), "borders": borders.entry(), "characters": characters}


def _read_split(folder: Path, name: str, entry: Mapping[str, Any], end: int) -> TokenizedSplit:
    tokens_N = _mapped(folder / (name + TOKENS_SUFFIX), entry["tokens"])
    borders_D = _mapped(folder / (name + BORDERS_SUFFIX), entry["borders"])
    return TokenizedSplit(TokenStream(tokens_N, borders_D, end), int(entry["characters"]))


def _mapped(path: Path, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The array in a file; ValueError if its checksum is wrong."""
    checksum = 0
    with path.open("rb") as file:  # not through the map, whose pages count as memory
        while block := file.read(CHECKSUM_BLOCK_BYTES):
            checksum = zlib.crc32(block, checksum)
    if checksum != entry["checksum"]:
        raise ValueError(f"{path}: its checksum is wrong")
    return np.asarray(np.memmap(path, entry["type"], mode="r", shape=(entry["length"],)))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
