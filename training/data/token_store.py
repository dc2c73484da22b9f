"""A tokenized text on disk: written as a stream, read through a memory map, so of any size.

A folder with ``tokenizer.json``, the tokens of each split in the smallest type of integer that
holds them, the borders of its documents, and ``index.json``, which holds a key (what it was made
from) and sizes and checksums. It is written beside its place and renamed when all of it is on the
disk: what has the name is whole. Knows neither recipes nor networks.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from model.errors import ArtifactError
from model.manifest import TOKENIZER_FILE
from model.tokenization.tokenizer import Tokenizer
from training.data.token_stream import Stream, encoded
from training.errors import OutputError
from training.readers.documents import Part

FORMAT = 1
INDEX = "index.json"
TOKENS, BORDERS = ".tokens", ".borders"
BLOCK = 2**20  # bytes that are checked at a time


@dataclass(frozen=True, slots=True)
class TokenizedSplit:
    """A stream that lies in a file, and how many characters of text it stands for."""

    stream: Stream
    characters: int


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """Splits by name, and what they were tokenized with."""

    tokenizer: Tokenizer
    splits: Mapping[str, TokenizedSplit]


def read_tokens(folder: Path, key: str) -> TokenizedText | None:
    """What :func:`write_tokens` wrote there; None if that is not there, or damaged."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if (index["format"], index["key"]) != (FORMAT, key):
            return None
        tokenizer = Tokenizer.load(folder / TOKENIZER_FILE)
        splits = {
            name: _read_split(folder, name, entry, tokenizer.end)
            for name, entry in index["splits"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArtifactError):
        return None
    return TokenizedText(tokenizer, splits)


def write_tokens(
    folder: Path, key: str, tokenizer: Tokenizer, splits: Mapping[str, Iterable[Part]]
) -> None:
    """Tokenizes the splits into the folder, in the place of what is there.

    Raises:
        OutputError: the disk is full, or the folder cannot be made; nothing is left behind.
        DataError: from the splits.
    """
    draft = folder.with_name(folder.name + ".part")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        entries = {
            name: _write_split(draft, name, parts, tokenizer) for name, parts in splits.items()
        }
        tokenizer.save(draft / TOKENIZER_FILE)
        index = {"format": FORMAT, "key": key, "splits": entries}
        (draft / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
        for name in (TOKENIZER_FILE, INDEX, "."):
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
def only_writer(folder: Path) -> Iterator[None]:
    """Waits until no other process is in such a block for this folder.

    Raises:
        OutputError: the folder's parent cannot be made or written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(folder.name + ".lock").open("w")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror or error}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the process ends, however it does
        yield


class _ArrayFile:
    """A file of integers of one type that grows at its end, with its checksum."""

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
        """What :func:`_mapped` needs to find it whole again."""
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
    folder: Path, name: str, parts: Iterable[Part], tokenizer: Tokenizer
) -> dict[str, Any]:
    characters = 0
    with (
        _ArrayFile(folder / (name + TOKENS), np.min_scalar_type(tokenizer.size - 1)) as tokens,
        _ArrayFile(folder / (name + BORDERS), np.int64) as borders,
    ):
        for batch in encoded(parts, tokenizer):
            borders.append(batch.borders_D + tokens.length)
            tokens.append(batch.tokens_N)
            characters += batch.characters
        return {"tokens": tokens.entry(), "borders": borders.entry(), "characters": characters}


def _read_split(folder: Path, name: str, entry: Mapping[str, Any], end: int) -> TokenizedSplit:
    tokens_N = _mapped(folder / (name + TOKENS), entry["tokens"])
    borders_D = _mapped(folder / (name + BORDERS), entry["borders"])
    return TokenizedSplit(Stream(tokens_N, borders_D, end), int(entry["characters"]))


def _mapped(path: Path, entry: Mapping[str, Any]) -> npt.NDArray[Any]:
    """ValueError if the file is not what was written."""
    checksum = 0
    with path.open("rb") as file:  # not through the map: pages that are mapped count as memory
        while block := file.read(BLOCK):
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
