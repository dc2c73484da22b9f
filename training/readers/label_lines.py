"""Lines of labeled text as fastText reads them: ``__label__NAME`` and the words of the text.

The labels are the words of a line that begin with the prefix, usually the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from training.errors import DataError, format_list
from training.readers.files import read_lines

LABEL_PREFIX = "__label__"
SAMPLE_LINES = 100
MAX_LISTED_LABELS = 5


def has_label_lines(path: Path) -> bool:
    """Whether most of the first lines have a label.

    Raises:
        DataError: the file cannot be read.
    """
    lines = [line for line in islice(read_lines(path), SAMPLE_LINES) if line.strip()]
    labeled = sum(any(_is_label(word) for word in line.split()) for line in lines)
    return labeled > len(lines) / 2


def read_label_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """The place, text and label of each line that is not blank; a text or label may be empty.

    Raises:
        DataError: the file cannot be read, or a line has several labels.
    """
    for number, line in enumerate(read_lines(path), start=1):
        words = line.split()
        if not words:
            continue
        place = f"{path}, line {number}"
        labels = [word.removeprefix(LABEL_PREFIX) for word in words if _is_label(word)]
        if len(labels) > 1:
            names = format_list([repr(f"{label:.60}") for label in labels], MAX_LISTED_LABELS)
            raise DataError(
                f"{place}: the line has {len(labels)} labels: {names}; a text has one label here, "
                "so keep one in each line"
            )
        yield place, _without_labels(line, words), labels[0] if labels else ""


def _without_labels(line: str, words: list[str]) -> str:
    """The text as it is written where labels come first, else its words with spaces between."""
    if not _is_label(words[0]):
        return " ".join(word for word in words if not _is_label(word))
    return line.lstrip().removeprefix(words[0]).strip()


def _is_label(word: str) -> bool:
    return word.startswith(LABEL_PREFIX)
