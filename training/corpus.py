"""Documents as one stream of tokens, and what is held out of them.

The stream of documents x and y is ``[END] x1 .. xn [END] y1 .. ym``: [END] stands before every
document, and, as the stream is read in a circle, after every one. Knows tokenizers, no networks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from model.tokenizer import Tokenizer

Tokens = npt.NDArray[np.int64]
WHOLE_DOCUMENTS_FROM = 20  # with so many documents none is cut to hold out a share of the text
PUNCTUATION = ".,;:!?"
# Between lines, where not even byte-level bpe, which joins runs of white space, looks across.
SEAM = re.compile(r"(?<=\n)(?= \S)|(?<=\S\n)(?=\S)")
SAMPLE = 200_000  # characters that are looked at to tell how a text is tokenized


@dataclass(frozen=True, slots=True)
class Stream:
    """All documents one after the other.

    ``tokens_N`` begins with [END]; ``borders_D`` holds the position of every document's [END].
    """

    tokens_N: Tokens
    borders_D: Tokens
    end: int

    def __len__(self) -> int:
        """The number of predictions in one pass: every token and every document's [END]."""
        return len(self.tokens_N)

    def document(self, index: int) -> Tokens:
        """One document with the [END] before it."""
        begin = int(self.borders_D[index])
        last = index + 1 == len(self.borders_D)
        return self.tokens_N[begin : None if last else int(self.borders_D[index + 1])]


def build_stream(documents: Sequence[str], tokenizer: Tokenizer) -> Stream:
    """Encodes the documents and joins them."""
    parts = [_encoded(text, tokenizer) for text in documents]
    lengths = np.array([len(part) for part in parts], dtype=np.int64)
    return Stream(np.concatenate(parts), np.cumsum(lengths) - lengths, tokenizer.end)


def lines_of(text: str) -> list[str]:
    """A text cut after line ends where no tokenizer joins what stands on the two sides.

    Tokenizers are many times as fast on lines as on one long text.
    """
    return SEAM.split(text)


def _encoded(text: str, tokenizer: Tokenizer) -> Tokens:
    lines = tokenizer.encode_batch(lines_of(text))
    return np.fromiter(chain([tokenizer.end], chain.from_iterable(lines)), dtype=np.int64)


def hold_out(documents: Sequence[str], share: float) -> tuple[list[str], list[str]]:
    """Takes about the last ``share`` of the characters away: (kept, held out), neither empty.

    Of many documents whole ones are taken; of a few, one may be cut, at a space if there is one.
    """
    wanted = share * sum(map(len, documents))
    kept, held = list(documents), list[str]()
    while len(kept) > 1 and len(kept[-1]) <= wanted:
        wanted -= len(kept[-1])
        held.insert(0, kept.pop())
    if len(documents) >= WHOLE_DOCUMENTS_FROM:
        return kept, held or [kept.pop()]
    if held and wanted < 1:
        return kept, held
    cut = _cut(kept[-1], len(kept[-1]) - max(1, round(wanted)))
    last = kept.pop()
    if cut < len(last):
        held.insert(0, last[cut:])
        kept.append(last[:cut])
    elif kept:
        held.insert(0, last)
    else:
        kept.append(last)
    return kept, held


def looks_pretokenized(documents: Sequence[str]) -> bool:
    """Whether most punctuation marks stand alone between white space, as in WikiText."""
    text = " ".join(_sample(documents))
    marks = [index for index in range(1, len(text) - 1) if text[index] in PUNCTUATION]
    alone = sum(text[index - 1].isspace() and text[index + 1].isspace() for index in marks)
    return len(marks) >= 10 and alone > 0.7 * len(marks)


def _cut(text: str, position: int) -> int:
    """The last beginning of a line, or else of a word, in the few characters up to ``position``."""
    nearby = max(1, position - 1000)
    for separator in ("\n", " "):
        found = text.rfind(separator, nearby, position)
        if found > 0:
            return found + 1
    return max(1, position)


def _sample(documents: Sequence[str]) -> list[str]:
    taken, left = [], SAMPLE
    for text in documents:
        taken.append(text[:left])
        left -= len(text)
        if left <= 0:
            break
    return taken
