"""Word vectors of GloVe, fastText and word2vec, or from a NumPy matrix and its words.

Binary files of word2vec and fastText are recognized by their content.

A line of text is a word and its numbers. A word may contain spaces (as in glove.840B), so the last
N fields are the numbers. N is in the first line of word2vec's format; otherwise it is that of most
of the first lines. A few broken lines, which published files have, are left out with a notice; a
file with more is refused. Of a repeated word the first vector counts.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from model.artifact import MAX_WEIGHT
from model.embeddings import Vector
from training.errors import DataError
from training.readers.binary_vectors import (
    is_fasttext_model,
    is_word2vec_binary,
    read_fasttext_model,
    word2vec_rows,
)
from training.readers.files import parse_count, read_lines
from training.readers.notices import LOG

WIDTH_SAMPLE_LINES = 1_000  # by which the size of vectors is detected
MAX_BROKEN_SHARE = 0.001  # of the lines
EARLY_BROKEN_LINES = 1_000  # after which a bad file is refused before its end
REPLACEMENT_CHARACTER = "\ufffd"  # of undecodable bytes


def read_vectors(path: Path, vocabulary: Collection[str] | None = None) -> dict[str, Vector]:
    """Vectors by word; with ``vocabulary`` those of its words only.

    With ``vocabulary``, a model of fastText also gives vectors to words that it does not have, by
    their n-grams.

    Raises:
        DataError: the file cannot be read, has no vectors or too many broken lines.
    """
    if path.suffix != ".npy" and is_fasttext_model(path):
        return _fasttext_vectors(path, vocabulary)
    vectors: dict[str, Vector] = {}
    count = again = 0
    for count, (word, vector) in enumerate(_rows(path), start=1):  # noqa: B007
        if vocabulary is None or word in vocabulary:
            again += word in vectors
            vectors.setdefault(word, vector)
    if count == 0:
        raise DataError(f"{path}: holds no vectors; expected a word and its numbers on each line")
    if again:
        LOG.info("%s: %d words are repeated; their first vectors count", path, again)
    return vectors


def first_words(path: Path, count: int) -> list[str]:
    """The first words of the file, which are the most frequent ones in published files."""
    if path.suffix != ".npy" and is_fasttext_model(path):
        return list(itertools.islice(read_fasttext_model(path).words, count))
    return [word for word, _ in itertools.islice(_rows(path), count)]


def _fasttext_vectors(path: Path, vocabulary: Collection[str] | None) -> dict[str, Vector]:
    """The vectors of a model of fastText, those of unknown words by their n-grams."""
    model = read_fasttext_model(path)
    words = model.words if vocabulary is None else vocabulary
    vectors: dict[str, Vector] = {}
    composed = 0
    broken = _Broken(path)
    for number, word in enumerate(words, start=1):
        vector = model.vector(word) if word else None
        checked = None if vector is None else _checked(word, vector)
        if isinstance(checked, str):
            broken.add(number, checked)
        elif checked is not None:
            broken.whole += 1
            vectors[word] = checked[1]
            composed += word not in model.words
    broken.conclude()
    if composed:
        LOG.info("%s: %d words have vectors by their character n-grams alone", path, composed)
    return vectors


def _rows(path: Path) -> Iterator[tuple[str, Vector]]:
    if path.suffix == ".npy":
        return _matrix_rows(path)
    return _word2vec_rows(path) if is_word2vec_binary(path) else _text_rows(path)


def _word2vec_rows(path: Path) -> Iterator[tuple[str, Vector]]:
    broken = _Broken(path)
    rows = enumerate(word2vec_rows(path), start=1)
    yield from broken.whole_ones((number, _checked(*row)) for number, row in rows)


def _text_rows(path: Path) -> Iterator[tuple[str, Vector]]:
    lines = enumerate(read_lines(path, errors="replace"), start=1)
    first = next(lines, None)
    if first is None:
        return
    announced = _announced(first[1])
    sample = [] if announced else [first]
    sample += itertools.islice(lines, WIDTH_SAMPLE_LINES)
    width = announced[1] if announced else _usual_width([line for _, line in sample])
    broken = _Broken(path)
    numbered = itertools.chain(sample, lines)
    yield from broken.whole_ones((number, _parsed(line, width)) for number, line in numbered)
    if announced and announced[0] != broken.whole + broken.count:
        LOG.warning(
            "%s: the first line announces %d vectors, the file has %d; it may be cut off",
            path,
            announced[0],
            broken.whole + broken.count,
        )


class _Broken:
    """Counts broken lines and refuses a file with too many."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first = ""
        self.count = 0
        self.whole = 0

    def whole_ones(
        self, numbered: Iterable[tuple[int, tuple[str, Vector] | str]]
    ) -> Iterator[tuple[str, Vector]]:
        """The vectors of numbered lines. A string in place of a vector is the fault of a line."""
        for number, parsed in numbered:
            if isinstance(parsed, str):
                self.add(number, parsed)
            else:
                self.whole += 1
                yield parsed
        self.conclude()

    def add(self, number: int, fault: str) -> None:
        self._first = self._first or f"{self._path}, line {number}: {fault}"
        self.count += 1
        if self.count > EARLY_BROKEN_LINES and self._are_many():
            self.conclude()

    def conclude(self) -> None:
        """Refuses the file, or warns of its broken lines."""
        if self.count == 0:
            return
        if self._are_many():
            raise DataError(
                f"{self._first} ({self.count} broken lines, {self.whole} whole ones); expected a "
                "word and its numbers, as many on each line; correct or remove the lines"
            )
        LOG.warning("%s; %d such lines are left out", self._first, self.count)

    def _are_many(self) -> bool:
        return self.count > MAX_BROKEN_SHARE * (self.count + self.whole)


def _fields(line: str) -> list[str]:
    """The fields between spaces or tabs; a word may contain other white space."""
    return line.strip("\r\n \t").replace("\t", " ").split(" ")


def _announced(line: str) -> tuple[int, int] | None:
    """The number and size of the vectors, if the line is the first one of word2vec's format."""
    fields = _fields(line)
    if len(fields) != 2:
        return None
    count, width = map(parse_count, fields)
    return (count, width) if count is not None and width else None


def _usual_width(lines: list[str]) -> int:
    """The number of numbers at the end of most lines."""
    widths = Counter(_numbers_at_end(_fields(line)[1:]) for line in lines)
    del widths[0]
    return max(widths, key=widths.__getitem__, default=1)


def _numbers_at_end(fields: list[str]) -> int:
    numbers = itertools.takewhile(lambda field: _number(field) is not None, reversed(fields))
    return sum(1 for _ in numbers)


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _parsed(line: str, width: int) -> tuple[str, Vector] | str:
    """A word and its vector, or the fault of the line."""
    fields = _fields(line)
    words, numbers = fields[:-width], fields[-width:]
    word = " ".join(words)
    if not word or (len(words) > 1 and _number(words[-1]) is not None):
        return (
            f"different widths: {fields[0]!r} has {len(fields) - 1} numbers, other lines have "
            f"{width}"
        )
    if REPLACEMENT_CHARACTER in word:
        return f"the word {word!r} is not UTF-8 and cannot be read"
    try:
        values = list(map(float, numbers))
    except ValueError as error:
        return f"{word!r}: {error}; {width} numbers were expected"
    return _checked(word, values)


def _checked(word: str, numbers: ArrayLike) -> tuple[str, Vector] | str:
    """The word and its vector, or the reason why a model cannot have it."""
    with np.errstate(over="ignore"):
        vector = np.asarray(numbers, dtype=np.float32)
    if not np.isfinite(vector).all():
        return f"{word!r}: its numbers are not all finite"
    if (np.abs(vector) > MAX_WEIGHT).any():
        return f"{word!r}: its numbers are not all from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
    return word, vector


def _matrix_rows(path: Path) -> Iterator[tuple[str, Vector]]:
    try:
        matrix_VE = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: not a matrix of numbers: {error}") from None
    list_path = path.with_name("vocab.txt")
    words = [line.removesuffix("\n").removesuffix("\r") for line in read_lines(list_path)]
    if matrix_VE.ndim != 2 or matrix_VE.dtype.kind not in "fiu" or len(words) != len(matrix_VE):
        raise DataError(
            f"{path}: {matrix_VE.shape} numbers ({matrix_VE.dtype}) for the {len(words)} words of "
            f"{list_path}"
        )
    broken = _Broken(path)
    rows = zip(words, matrix_VE, strict=True)
    yield from broken.whole_ones(enumerate(itertools.starmap(_checked, rows), start=1))
