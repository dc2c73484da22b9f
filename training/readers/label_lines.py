"""Lines of labeled text as fastText reads them: ``__label__NAME`` and the words of the text.

The labels are the words of a line that begin with the prefix, usually the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path

from training.readers.files import read_lines

LABEL_PREFIX = "__label__"
SAMPLE_LINES = 100


def has_label_lines(path: Path) -> bool:
    """Whether most of the first lines have a label.

    Raises:
        DataError: the file cannot be read.
    """
    lines = [line for line in islice(read_lines(path), SAMPLE_LINES) if line.strip()]
    labeled = sum(any(_is_label(word) for word in line.split()) for line in lines)
    return labeled > len(lines) / 2


def read_label_lines(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """The place, text and labels of each line that is not blank; a text or label may be empty.

    Raises:
        DataError: the file cannot be read.
    """
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        place = f"{path}, line {number}"
        labels = [word.removeprefix(LABEL_PREFIX) for word in words if _is_label(word)]
        yield place, _without_labels(line, words), labels


def _without_labels(line: str, words: list[str]) -> str:
    """The text as it is written where labels come first, else its words with spaces between."""
    leading = list(takewhile(_is_label, words))
    if any(_is_label(word) for word in words[len(leading) :]):
        return " ".join(word for word in words if not _is_label(word))
    text = line.lstrip()
    for label in leading:
        text = text.removeprefix(label).lstrip()
    return text.rstrip()


def _is_label(word: str) -> bool:
    return word.startswith(LABEL_PREFIX)
