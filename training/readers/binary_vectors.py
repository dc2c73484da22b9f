"""Word vectors in binary files: those of word2vec and of fastText.

A file of word2vec has a line with the number and size of its vectors, then each word, a space and
its float32 numbers. A model of fastText (.bin) also has vectors of character n-grams, so words that
it has not seen have vectors, too: the mean of those of their n-grams (Bojanowski et al., 2017).

gensim reads both, but depends on SciPy; the two formats are a page.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from model.embeddings import Vector
from training.errors import DataError
from training.readers.files import open_decompressed, parse_count

FASTTEXT_MAGIC = struct.pack("<i", 793_712_314)
FASTTEXT_VERSIONS = (11, 12)
FNV_START, FNV_PRIME = 2_166_136_261, 16_777_619  # of the hash function FNV-1a
MAX_WORD_BYTES = 10_000
MAX_WIDTH = 100_000
MAX_WORDS = 100_000_000
MAX_HEADER_BYTES = 40
MAX_LINE_BYTES = 2**21  # of the first line of a text file

NUMBER = re.compile(rb"[-+]?(\d[\d.]*|\.\d+|inf|nan)(e[-+]?\d*)?", re.IGNORECASE)

WordVector = tuple[str, npt.NDArray[np.float32]]


def is_fasttext_model(path: Path) -> bool:
    """Whether a file begins as a model of fastText.

    Raises:
        DataError: the file cannot be read.
    """
    with open_decompressed(path) as file:
        return file.read(4) == FASTTEXT_MAGIC


def is_word2vec_binary(path: Path) -> bool:
    """Whether a file begins as word2vec's binary format: with two counts, a word and no number.

    Raises:
        DataError: the file cannot be read.
    """
    with open_decompressed(path) as file:
        header = file.readline(MAX_HEADER_BYTES)
        if _header(header) is None:
            return False
        line = file.readline(MAX_LINE_BYTES).rstrip()
    return b" " in line and NUMBER.fullmatch(re.split(rb"[ \t]", line)[-1]) is None


def word2vec_rows(path: Path) -> Iterator[WordVector]:
    """The words and vectors of a file of word2vec, in their order.

    Raises:
        DataError: the file cannot be read, or ends early.
    """
    with open_decompressed(path) as file:
        header = _header(file.readline(MAX_HEADER_BYTES))
        if header is None:
            raise DataError(
                f"{path}: is no binary file of word2vec: its first line is not two counts"
            )
        count, width = header
        for number in range(1, count + 1):
            word = _word(file, path, number, b" ").lstrip(b"\n")
            content = file.read(4 * width)
            if len(content) < 4 * width:
                raise DataError(
                    f"{path}: ends within vector {number} of {count}; it is cut off, so get it anew"
                )
            yield word.decode("utf-8", "replace"), np.frombuffer(content, "<f4")


class FastTextModel(NamedTuple):
    """The input vectors of a model of fastText.

    Args:
        words: in the order of their rows.
        matrix_RE: rows of words, then of buckets of n-grams.
        lengths: the fewest and the most characters of an n-gram; (0, 0) for none.
    """

    words: dict[str, int]
    matrix_RE: npt.NDArray[np.float32]
    lengths: tuple[int, int]

    def vector(self, word: str) -> Vector | None:
        """The mean of the vectors of a word and its n-grams; None if there are none."""
        rows = [] if word not in self.words else [self.words[word]]
        buckets = len(self.matrix_RE) - len(self.words)
        if buckets > 0 and word != "</s>":
            first = len(self.words)
            rows += [first + hash_of(ngram) % buckets for ngram in ngrams(word, *self.lengths)]
        if not rows:
            return None
        mean_E: Vector = self.matrix_RE[rows].mean(axis=0, dtype=np.float32)
        return mean_E

    def rows(self) -> Iterator[tuple[str, Vector]]:
        """The words of the model with their vectors."""
        for word in self.words:
            vector = self.vector(word)
            assert vector is not None
            yield word, vector


def read_fasttext_model(path: Path) -> FastTextModel:
    """The vectors of a model of fastText; a compressed one is read into memory.

    Raises:
        DataError: the file cannot be read, ends early, or is quantized.
    """
    with open_decompressed(path) as file:
        file.read(4)
        (version,) = _numbers(file, path, "<i")
        if version not in FASTTEXT_VERSIONS:
            raise DataError(f"{path}: version {version} of fastText's format; expected 11 or 12")
        arguments = _numbers(file, path, "<12id")
        lengths = (arguments[9], arguments[10])
        size, count, _, _, pruned = _numbers(file, path, "<iiiqq")
        if not 0 < count <= size <= MAX_WORDS:
            raise DataError(f"{path}: announces {count} words of {size} entries; it is damaged")
        words: dict[str, int] = {}
        for number in range(size):
            word = _word(file, path, number, b"\0").decode("utf-8", "replace")
            _numbers(file, path, "<qb")  # its frequency, and whether it is a label
            if number < count:
                words.setdefault(word, number)
        (quantized,) = _numbers(file, path, "<?")
        if quantized or pruned > 0:
            raise DataError(
                f"{path}: a quantized model (.ftz), whose vectors are not kept; give the .bin or "
                "the .vec file"
            )
        if len(words) < count:
            raise DataError(f"{path}: {count - len(words)} words are repeated; it is damaged")
        height, width = _numbers(file, path, "<qq")
        if height < count or not 0 < width <= MAX_WIDTH:
            raise DataError(f"{path}: {height} vectors of {width} numbers for {count} words")
        return FastTextModel(words, _matrix(file, path, height, width), lengths)


def _matrix(file: BinaryIO, path: Path, height: int, width: int) -> npt.NDArray[np.float32]:
    """The matrix at the position of the file; of a file that is not compressed it is mapped."""
    size, begin = 4 * height * width, file.tell()
    cut_off = DataError(f"{path}: ends within its vectors; it is cut off, so get it anew")
    if isinstance(getattr(file, "raw", None), io.FileIO):
        if path.stat().st_size < begin + size:
            raise cut_off
        return np.memmap(path, "<f4", "r", offset=begin, shape=(height, width))
    content = file.read(size)
    if len(content) < size:
        raise cut_off
    return np.frombuffer(content, "<f4").reshape(height, width)


def ngrams(word: str, fewest: int, most: int) -> list[str]:
    """The character n-grams of a word between angle brackets, without the brackets alone.

    >>> ngrams("ab", 2, 3)
    ['<a', '<ab', 'ab', 'ab>', 'b>']
    """
    text = f"<{word}>"
    return [
        text[begin:end]
        for begin in range(len(text))
        for end in range(begin + max(1, fewest), min(begin + most, len(text)) + 1)
        if end - begin > 1 or 0 < begin < len(text) - 1
    ]


def hash_of(ngram: str) -> int:
    """FNV-1a of the bytes as signed numbers, as fastText computes it."""
    value = FNV_START
    for byte in ngram.encode("utf-8", "replace"):
        value ^= byte if byte < 0x80 else byte | 0xFFFFFF00
        value = value * FNV_PRIME & 0xFFFFFFFF
    return value


def _header(line: bytes) -> tuple[int, int] | None:
    fields = line.decode("ascii", "replace").split()
    if len(fields) != 2 or not line.endswith(b"\n"):
        return None
    count, width = map(parse_count, fields)
    if not count or not width or width > MAX_WIDTH:
        return None
    return count, width


def _word(file: BinaryIO, path: Path, number: int, end: bytes) -> bytes:
    word = bytearray()
    while len(word) <= MAX_WORD_BYTES:
        byte = file.read(1)
        if byte == end:
            return bytes(word)
        if not byte:
            raise DataError(f"{path}: ends within word {number}; it is cut off, so get it anew")
        word += byte
    raise DataError(f"{path}: word {number} is longer than {MAX_WORD_BYTES:,} bytes; it is damaged")


def _numbers(file: BinaryIO, path: Path, form: str) -> tuple[int, ...]:
    content = file.read(struct.calcsize(form))
    if len(content) < struct.calcsize(form):
        raise DataError(f"{path}: ends early; it is cut off, so get it anew")
    return struct.unpack(form, content)
