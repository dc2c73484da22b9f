"""Word vectors from files: word2vec and GloVe text (.txt, .vec, also .gz), or a matrix in .npy
with ``vocab.txt`` beside it, one word a line in the matrix's order.

The vectors fill the embedding of a network before it is trained; the task then tunes them, or
they stay frozen. Knows no training.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.tokenizer import Tokenizer

Vector = npt.NDArray[np.float32]
SPREAD = 0.1  # words without a vector are drawn uniformly from (-SPREAD, SPREAD)


class VectorFileError(ValueError):
    """A file of word vectors that cannot be read; the message names file and line."""


def read_vectors(path: Path, vocabulary: Collection[str] | None = None) -> dict[str, Vector]:
    """Vectors by word; only of the words in ``vocabulary`` when one is given.

    Raises VectorFileError naming the file, and the line where there is one.
    """
    vectors = {word: vector for word, vector in _rows(path) if _wanted(word, vocabulary)}
    widths = {vector.shape for vector in vectors.values()}
    if len(widths) > 1:
        raise VectorFileError(f"{path}: vectors of different widths: {sorted(widths)}")
    return vectors


def first_words(path: Path, count: int) -> list[str]:
    """The first words of the file: the most frequent ones, since such files are sorted so."""
    return [word for word, _ in itertools.islice(_rows(path), count)]


def words_of(tokenizer: Tokenizer) -> set[str]:
    """The words a vector file is searched for: token texts without spaces, also in lower case."""
    words = {text.strip() for text in tokenizer.vocabulary()}
    return words | {word.lower() for word in words}


def embedding_matrix(
    tokenizer: Tokenizer,
    vectors: Mapping[str, Vector],
    width: int,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, int]:
    """An embedding (V, E) and how many tokens got a vector, in their case or in lower case.

    All others are drawn at random. ValueError when the vectors are not ``width`` wide.
    """
    matrix_VE = torch.empty(tokenizer.size, width).uniform_(-SPREAD, SPREAD, generator=generator)
    found = 0
    for token, text in enumerate(tokenizer.vocabulary()):
        word = text.strip()
        vector = vectors.get(word, vectors.get(word.lower()))
        if vector is None or not word:
            continue
        if vector.shape != (width,):
            raise ValueError(f"the vectors have {len(vector)} numbers, the embedding {width}")
        matrix_VE[token] = torch.from_numpy(vector)
        found += 1
    return matrix_VE, found


def _wanted(word: str, vocabulary: Collection[str] | None) -> bool:
    return vocabulary is None or word in vocabulary


def _rows(path: Path) -> Iterator[tuple[str, Vector]]:
    try:
        yield from _matrix_rows(path) if path.suffix == ".npy" else _text_rows(path)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise VectorFileError(f"{path}: cannot be read: {error}") from error


def _text_rows(path: Path) -> Iterator[tuple[str, Vector]]:
    """``word number number ...`` on each line; a first line ``count width`` is skipped."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            word, *numbers = line.rstrip("\r\n ").split(" ")
            if number == 1 and len(numbers) == 1:
                continue
            try:
                vector = np.array(numbers, dtype=np.float32)
            except ValueError as error:
                raise VectorFileError(f"{path}, line {number}: {error}") from error
            if len(vector) == 0 or not np.isfinite(vector).all():
                raise VectorFileError(
                    f"{path}, line {number}: expected a word and its numbers, all finite"
                )
            yield word, vector


def _matrix_rows(path: Path) -> Iterator[tuple[str, Vector]]:
    try:
        matrix_VE = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise VectorFileError(f"{path}: not a matrix of numbers: {error}") from error
    list_path = path.with_name("vocab.txt")
    words = list_path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    if matrix_VE.ndim != 2 or len(words) != len(matrix_VE):
        raise VectorFileError(
            f"{path}: {matrix_VE.shape} numbers for the {len(words)} words of {list_path}"
        )
    for word, vector in zip(words, matrix_VE, strict=True):
        yield word, np.asarray(vector, dtype=np.float32)
