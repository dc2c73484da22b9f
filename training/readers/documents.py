"""Data sources as documents (for language models) and labeled examples (for classifiers).

Plain text is cut into documents by file, paragraph or line; .jsonl, .csv, .tsv and Hugging Face
data sets give one document per record. Nothing is lower-cased, stripped or tokenized here.

Does not know tokenizers, splits or networks; `training.readers.columns` chooses the columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from training.errors import DataError
from training.readers.columns import Columns, open_columns, open_text_column
from training.readers.files import opened_raw, read_blocks, read_lines
from training.readers.notices import LOG
from training.readers.sources import Record, holds_records, is_blank, is_unicode

__all__ = [
    "DataError",
    "Example",
    "Part",
    "Unit",
    "joined",
    "read_documents",
    "read_examples",
    "read_parts",
]

Unit = Literal["file", "paragraph", "line"]
TOLD = 5  # places of empty records that a message names


@dataclass(frozen=True, slots=True)
class Example:
    """A document and the name of its label."""

    text: str
    label: str


class Part(NamedTuple):
    """A part of a document, never empty; ``opens``: it is the first of its document."""

    text: str
    opens: bool


def read_parts(
    sources: Sequence[str],
    *,
    unit: Unit = "file",
    column: str | None = None,
    header: bool | None = None,
) -> Iterator[Part]:
    """The documents of all sources, in order, in parts; blank documents are left out.

    A plain text file that is one document comes in many parts, any other document in one, so that
    no more than a document or a block of a file is in memory.

    Args:
        sources: paths, or "hf:NAME[:SPLIT[:CONFIG]]".
        unit: what one document is in a plain text file. Windows line ends become line feeds.
        column: the column that holds the text of records, by name or by number from 1; by default
            "text", or the only one.
        header: whether the first row of a table names its columns; None: what it looks like.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    for source in sources:
        found = False
        for part in _parts_of(source, unit, column, header):
            found = True
            yield part
        if not found:
            raise DataError(f"{source}: holds no text; give a file with at least one document")


def read_documents(
    sources: Sequence[str],
    *,
    unit: Unit = "file",
    column: str | None = None,
    header: bool | None = None,
) -> list[str]:
    """The documents of `read_parts`, whole and all at once.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    return joined(read_parts(sources, unit=unit, column=column, header=header))


def joined(parts: Iterable[Part]) -> list[str]:
    """The documents whose parts these are."""
    documents: list[list[str]] = []
    for part in parts:
        if part.opens:
            documents.append([])
        documents[-1].append(part.text)
    return ["".join(parts) for parts in documents]


def read_examples(
    source: str,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    header: bool | None = None,
    skip_empty: bool = False,
) -> list[Example]:
    """The labeled examples of a .jsonl, .csv or .tsv file or a Hugging Face data set, in order.

    Args:
        source: a path, or "hf:NAME[:SPLIT[:CONFIG]]".
        text_column: by name or by number from 1; by default "text", or whatever is the only choice
            left.
        label_column: the same, "label" by default. Of two columns without usual names the one with
            fewer different values is taken, and that is told.
        header: whether the first row of a table names its columns; None: what it looks like.
        skip_empty: leave out records without a text or a label, and tell how many.

    Raises:
        DataError: the source cannot be read, holds no records, lacks a column, or a text or label
            in it is empty.
    """
    if not holds_records(source):
        with opened_raw(Path(source)):  # a directory or a file that is missing is told as such
            pass
        raise DataError(
            f"{source}: holds no labels; give a .jsonl, .csv or .tsv file with a column of texts "
            "and a column of labels"
        )
    columns, records = open_columns(source, Columns(text_column, label_column, header))
    examples: list[Example] = []
    empty: list[_Empty] = []
    for record in records:
        text, label = _text(record, columns.text), _label(record, columns.label)
        faults = [found for found in (text, label) if isinstance(found, _Empty)]
        if isinstance(text, str) and isinstance(label, str):
            examples.append(Example(text, label))
        empty += faults[:1]
    _tell_empty(source, empty, len(examples), skip=skip_empty)
    return examples


def _parts_of(source: str, unit: Unit, column: str | None, header: bool | None) -> Iterator[Part]:
    if holds_records(source):
        return _record_parts(source, column, header)
    if unit == "file":
        return _file_parts(Path(source))
    return _whole(_text_units(Path(source), unit))


def _record_parts(source: str, column: str | None, header: bool | None) -> Iterator[Part]:
    """Records without text are left out, and told."""
    name, records = open_text_column(source, column, header)
    count = blank = 0
    for record in records:
        count += 1
        text = _string(record, name)
        if is_blank(text):
            blank += 1
        else:
            yield Part(text, opens=True)
    if 0 < blank < count:
        LOG.info("%s: %d of %d records have no text and are left out", source, blank, count)


def _whole(texts: Iterable[str]) -> Iterator[Part]:
    return (Part(text, opens=True) for text in texts if not is_blank(text))


def _file_parts(path: Path) -> Iterator[Part]:
    """A file as one document; none if it is blank."""
    held, opens = "", True  # what is held back: white space it begins with, half of a line end
    for block in read_blocks(path):
        text = (held + block).replace("\r\n", "\n")
        keep = len(text) if opens and text.isspace() else int(text.endswith("\r"))
        text, held = text[: len(text) - keep], text[len(text) - keep :]
        if text:
            yield Part(text, opens)
            opens = False
    if held and not opens:
        yield Part(held, opens=False)


def _text_units(path: Path, unit: Unit) -> Iterable[str]:
    lines = (_unix(line) for line in read_lines(path))
    if unit == "line":
        return (line.removesuffix("\n") for line in lines)
    blocks = groupby(lines, key=is_blank)
    return ("".join(block).removesuffix("\n") for blank, block in blocks if not blank)


def _unix(line: str) -> str:
    return line[:-2] + "\n" if line.endswith("\r\n") else line


def _value(record: Record, column: str) -> Any:
    if column not in record.fields:
        found = ", ".join(record.fields) or "none"
        raise DataError(f"{record.place}: no column {column!r}; found: {found}")
    return record.fields[column]


def _string(record: Record, column: str) -> str:
    """Empty for a null, as which JSON spells a cell that is not there."""
    value = _value(record, column)
    if value is None or value != value:  # noqa: PLR0124  # NaN, as which pandas spells it
        return ""
    if not isinstance(value, str):
        kind = type(value).__name__
        raise DataError(f"{record.place}: column {column!r} must be a string, found {kind}")
    if not is_unicode(value):
        raise DataError(
            f"{record.place}: column {column!r} holds half of a surrogate pair "
            "(\\ud800 to \\udfff), which is no character; remove it"
        )
    return value


@dataclass(frozen=True, slots=True)
class _Empty:
    """A record that lacks its text or its label."""

    place: str
    fault: str


def _text(record: Record, column: str) -> str | _Empty:
    text = _string(record, column)
    return _Empty(record.place, "the text is empty") if is_blank(text) else text


def _label(record: Record, column: str) -> str | _Empty:
    """A string or a whole number; true and false are labels by their names in JSON."""
    value = _value(record, column)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value != value:  # noqa: PLR0124  # NaN
        found = "null" if value is None else "NaN"
        fault = f"the label must be a string or a whole number, found {found}"
        return _Empty(record.place, fault)
    if not isinstance(value, str | int):
        kind = type(value).__name__
        raise DataError(
            f"{record.place}: the label must be a string or a whole number, found {kind}"
        )
    label = str(value).strip()
    if not is_unicode(label):
        raise DataError(
            f"{record.place}: the label holds half of a surrogate pair; rename the label"
        )
    return _Empty(record.place, "the label is empty") if is_blank(label) else label


def _tell_empty(source: str, empty: Sequence[_Empty], kept: int, *, skip: bool) -> None:
    """Refuses a source with empty records, unless they are to be left out; then only tells."""
    if not empty:
        return
    first, *others = empty
    places = [found.place.removeprefix(f"{source}, ") for found in others[:TOLD]]
    more = f", {len(others) - TOLD} more" if len(others) > TOLD else ""
    told = f"; the same in {', '.join(places)}{more}" if others else ""
    count = f"{len(empty)} of {len(empty) + kept} records have no text or no label"
    if not skip:
        raise DataError(
            f"{first.place}: {first.fault}{told} ({count}). Mend or remove them, or leave them out "
            "with --skip-empty"
        )
    if kept == 0:
        raise DataError(f"{source}: holds no records with a text and a label ({count})")
    place = first.place.removeprefix(f"{source}, ")
    LOG.warning("%s: %s and are left out, the first in %s", source, count, place)
