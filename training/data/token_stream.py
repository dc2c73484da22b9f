"""Documents as one stream of token ids.

The stream of documents x and y is ``[END] x1 .. xn [END] y1 .. ym``: [END] comes before every
document and, since the stream is circular, after every one. The tokens lie in memory or in a
memory-mapped file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.tokenization.tokenizer import Tokenizer
from training.readers.documents import DocumentPart

TokenArray = npt.NDArray[np.int64]
StoredTokenArray = npt.NDArray[np.integer[Any]]  # of the smallest type that fits
PUNCTUATION = ".,;:!?"
# Between lines, where no tokenizer joins text, not even byte-level BPE, which joins white space.
LINE_BOUNDARY = re.compile(r"(?<=\n)(?= \S)|(?<=\S\n)(?=\S)")
LAST_WORD_BOUNDARY = re.compile(r".*\S(?= \S)", re.DOTALL)  # no tokenizer joins text here
MAX_PIECE_LENGTH = 2**14  # characters, approximately
BATCH_CHARACTERS = 2**18  # that are tokenized together
PRETOKENIZED_SAMPLE_CHARACTERS = 200_000  # by which pretokenized text is detected
COUNT_BLOCK_TOKENS = 2**20  # that are counted at a time


@dataclass(frozen=True, slots=True)
class TokenStream:
    """All documents one after the other.

    Args:
        tokens_N: the tokens; the first is [END].
        borders_D: the position of the [END] before each document.
        end: the id of [END].
    """

    tokens_N: StoredTokenArray
    borders_D: TokenArray
    end: int

    def __len__(self) -> int:
        """The number of predictions in one pass, one for each token and each [END]."""
        return len(self.tokens_N)

    def document(self, index: int) -> TokenArray:
        """The document at ``index`` with the [END] before it."""
        begin = int(self.borders_D[index])
        last = index + 1 == len(self.borders_D)
        stored_N = self.tokens_N[begin : None if last else int(self.borders_D[index + 1])]
        return stored_N.astype(np.int64)

    def counts(self, vocabulary: int) -> TokenArray:
        """The number of occurrences of each of ``vocabulary`` tokens; (V)."""
        counts_V = np.zeros(vocabulary, dtype=np.int64)
        for begin in range(0, len(self), COUNT_BLOCK_TOKENS):
            counts_V += np.bincount(
                self.tokens_N[begin : begin + COUNT_BLOCK_TOKENS], minlength=vocabulary
            )
        return counts_V


class EncodedBatch(NamedTuple):
    """Tokens of some documents or parts of them, the positions of [END], and a character count."""

    tokens_N: TokenArray
    borders_D: TokenArray
    characters: int


def build_stream(documents: Sequence[str], tokenizer: Tokenizer) -> TokenStream:
    """The stream of ``documents``, in memory."""
    batches = list(encode_parts((DocumentPart(text, opens=True) for text in documents), tokenizer))
    tokens_N = np.concatenate([batch.tokens_N for batch in batches])
    return TokenStream(tokens_N, np.flatnonzero(tokens_N == tokenizer.end), tokenizer.end)


def encode_parts(parts: Iterable[DocumentPart], tokenizer: Tokenizer) -> Iterator[EncodedBatch]:
    """The stream of documents that come in parts, batch by batch."""
    for batch in _batches(split_pieces(parts)):
        tokens: list[int] = []
        borders: list[int] = []
        encodings = tokenizer.encode_batch([piece.text for piece in batch])
        for piece, ids in zip(batch, encodings, strict=True):
            if piece.opens:
                borders.append(len(tokens))
                tokens.append(tokenizer.end)
            tokens.extend(ids)
        yield EncodedBatch(
            np.array(tokens, dtype=np.int64),
            np.array(borders, dtype=np.int64),
            sum(len(piece.text) for piece in batch),
        )


def split_pieces(parts: Iterable[DocumentPart]) -> Iterator[DocumentPart]:
    """The documents in pieces that can be tokenized independently.

    A piece is a line, on which tokenizers are many times as fast as on a long text. A line longer
    than `MAX_PIECE_LENGTH` is divided between two words, such a word anywhere.
    """
    rest: str | None = None
    opens = True
    for part in parts:
        if part.opens:
            if rest is not None:
                yield DocumentPart(rest, opens)
            rest, opens = "", True
        *done, rest = split_lines((rest or "") + part.text)
        if len(rest) > MAX_PIECE_LENGTH:
            border = LAST_WORD_BOUNDARY.match(rest)
            place = border.end() if border else len(rest)
            done, rest = [*done, rest[:place]], rest[place:]
        for text in done:
            yield DocumentPart(text, opens)
            opens = False
    if rest is not None:
        yield DocumentPart(rest, opens)


def split_lines(text: str) -> list[str]:
    """The lines of a text, divided where no tokenizer joins the two sides."""
    return LINE_BOUNDARY.split(text)


def looks_pretokenized(texts: Iterable[str]) -> bool:
    """Whether most punctuation marks have white space on both sides, as in WikiText."""
    text = " ".join(_sample(texts))
    marks = [index for index in range(1, len(text) - 1) if text[index] in PUNCTUATION]
    alone = sum(text[index - 1].isspace() and text[index + 1].isspace() for index in marks)
    return len(marks) >= 10 and alone > 0.7 * len(marks)


def _batches(pieces: Iterator[DocumentPart]) -> Iterator[list[DocumentPart]]:
    while batch := list(_characters(pieces, BATCH_CHARACTERS)):
        yield batch


def _characters(pieces: Iterator[DocumentPart], count: int) -> Iterator[DocumentPart]:
    """The next pieces, which together have about ``count`` characters."""
    for piece in pieces:
        yield piece
        count -= len(piece.text) + 1
        if count <= 0:
            return


def _sample(texts: Iterable[str]) -> list[str]:
    taken, left = [], PRETOKENIZED_SAMPLE_CHARACTERS
    for text in texts:
        taken.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return taken
