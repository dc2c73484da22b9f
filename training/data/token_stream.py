"""Documents as one stream of tokens.

The stream of documents x and y is ``[END] x1 .. xn [END] y1 .. ym``: [END] stands before every
document, and, as the stream is read in a circle, after every one. Its tokens may lie in memory or
in a file that is mapped into it. Knows tokenizers, no networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.tokenization.tokenizer import Tokenizer
from training.readers.documents import Part

Tokens = npt.NDArray[np.int64]
StoredTokens = npt.NDArray[np.integer[Any]]  # of the smallest type that holds them, in a file
PUNCTUATION = ".,;:!?"
# Between lines, where not even byte-level bpe, which joins runs of white space, looks across.
SEAM = re.compile(r"(?<=\n)(?= \S)|(?<=\S\n)(?=\S)")
LAST_WORD_BORDER = re.compile(r".*\S(?= \S)", re.DOTALL)  # where no tokenizer looks across, either
LONGEST_PIECE = 2**14  # characters, about, that a tokenizer is given at once
BATCH = 2**18  # characters that are tokenized together
SAMPLE = 200_000  # characters that are looked at to tell how a text is tokenized
SCAN = 2**20  # tokens that are counted at a time


@dataclass(frozen=True, slots=True)
class Stream:
    """All documents one after the other.

    ``tokens_N`` begins with [END]; ``borders_D`` holds the position of every document's [END].
    """

    tokens_N: StoredTokens
    borders_D: Tokens
    end: int

    def __len__(self) -> int:
        """The number of predictions in one pass: every token and every document's [END]."""
        return len(self.tokens_N)

    def document(self, index: int) -> Tokens:
        """One document with the [END] before it."""
        begin = int(self.borders_D[index])
        last = index + 1 == len(self.borders_D)
        stored_N = self.tokens_N[begin : None if last else int(self.borders_D[index + 1])]
        return stored_N.astype(np.int64)

    def counts(self, vocabulary: int) -> Tokens:
        """How often each token of the vocabulary stands in it."""
        counts_V = np.zeros(vocabulary, dtype=np.int64)
        for begin in range(0, len(self), SCAN):
            counts_V += np.bincount(self.tokens_N[begin : begin + SCAN], minlength=vocabulary)
        return counts_V


class Encoded(NamedTuple):
    """Tokens of a few documents or parts of them, where [END] stands, and how many characters."""

    tokens_N: Tokens
    borders_D: Tokens
    characters: int


def build_stream(documents: Sequence[str], tokenizer: Tokenizer) -> Stream:
    """Encodes the documents and joins them, in memory."""
    batches = list(encoded((Part(text, opens=True) for text in documents), tokenizer))
    tokens_N = np.concatenate([batch.tokens_N for batch in batches])
    return Stream(tokens_N, np.flatnonzero(tokens_N == tokenizer.end), tokenizer.end)


def encoded(parts: Iterable[Part], tokenizer: Tokenizer) -> Iterator[Encoded]:
    """The stream of the documents, batch by batch."""
    for batch in _batches(pieces_of(parts)):
        tokens: list[int] = []
        borders: list[int] = []
        encodings = tokenizer.encode_batch([piece.text for piece in batch])
        for piece, ids in zip(batch, encodings, strict=True):
            if piece.opens:
                borders.append(len(tokens))
                tokens.append(tokenizer.end)
            tokens.extend(ids)
        yield Encoded(
            np.array(tokens, dtype=np.int64),
            np.array(borders, dtype=np.int64),
            sum(len(piece.text) for piece in batch),
        )


def pieces_of(parts: Iterable[Part]) -> Iterator[Part]:
    """The documents cut where no tokenizer joins what stands on the two sides: after lines.

    Tokenizers are many times as fast on lines as on one long text. A line that is too long for the
    memory is cut between two words, and a word that is, anywhere.
    """
    rest: str | None = None
    opens = True
    for part in parts:
        if part.opens:
            if rest is not None:
                yield Part(rest, opens)
            rest, opens = "", True
        *done, rest = lines_of((rest or "") + part.text)
        if len(rest) > LONGEST_PIECE:
            border = LAST_WORD_BORDER.match(rest)
            place = border.end() if border else len(rest)
            done, rest = [*done, rest[:place]], rest[place:]
        for text in done:
            yield Part(text, opens)
            opens = False
    if rest is not None:
        yield Part(rest, opens)


def lines_of(text: str) -> list[str]:
    """A text cut after line ends where no tokenizer joins what stands on the two sides."""
    return SEAM.split(text)


def looks_pretokenized(texts: Iterable[str]) -> bool:
    """Whether most punctuation marks stand alone between white space, as in WikiText."""
    text = " ".join(_sample(texts))
    marks = [index for index in range(1, len(text) - 1) if text[index] in PUNCTUATION]
    alone = sum(text[index - 1].isspace() and text[index + 1].isspace() for index in marks)
    return len(marks) >= 10 and alone > 0.7 * len(marks)


def _batches(pieces: Iterator[Part]) -> Iterator[list[Part]]:
    while batch := list(_characters(pieces, BATCH)):
        yield batch


def _characters(pieces: Iterator[Part], count: int) -> Iterator[Part]:
    """The next pieces with about so many characters together."""
    for piece in pieces:
        yield piece
        count -= len(piece.text) + 1
        if count <= 0:
            return


def _sample(texts: Iterable[str]) -> list[str]:
    taken, left = [], SAMPLE
    for text in texts:
        taken.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return taken
