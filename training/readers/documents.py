"""Sources as documents (for language models) and labeled examples (for classifiers).

Plain text is divided into documents by file, paragraph or line. The records of .jsonl, .csv, .tsv
and Hugging Face data sets are a document each. Texts are not changed but for line ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, NamedTuple

from training.errors import DataError
from training.readers.columns import ColumnOptions, open_columns, open_text_column
from training.readers.files import open_raw, read_blocks, read_lines
from training.readers.notices import LOG
from training.readers.sources import Record, holds_records, is_blank, is_unicode

Unit = Literal["file", "paragraph", "line"]
MAX_LISTED_PLACES = 5  # of empty records in a message


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its label."""

    text: str
    label: str


class DocumentPart(NamedTuple):
    """A part of a document, not empty. ``opens``: whether it is the first one."""

    text: str
    opens: bool


def read_parts(
    sources: Sequence[str],
    *,
    unit: Unit = "file",
    column: str | None = None,
    header: bool | None = None,
) -> Iterator[DocumentPart]:
    """The documents of all sources, in order, in parts; without blank documents.

    A text file that is one document has many parts, any other document has one, so that memory
    holds at most a record, a paragraph or a block of a file.

    Args:
        sources: paths, or "hf:NAME[:SPLIT[:CONFIG]]".
        unit: the document unit of plain text files. Windows line ends become line feeds.
        column: the text column of records, by name or by number from 1; None for "text", or the
            only column.
        header: whether the first row of a table names its columns; None to detect it.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    for source in sources:
        empty = True
        for part in _parts_of(source, unit, column, header):
            empty = False
            yield part
        if empty:
            raise DataError(f"{source}: holds no text; give a file with at least one document")


def read_documents(
    sources: Sequence[str],
    *,
    unit: Unit = "file",
    column: str | None = None,
    header: bool | None = None,
) -> list[str]:
    """The documents of `read_parts`, whole and in memory.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    return join_parts(read_parts(sources, unit=unit, column=column, header=header))


def join_parts(parts: Iterable[DocumentPart]) -> list[str]:
    """The documents of ``parts``, in memory."""
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
    """The labeled examples of a source of records, in order.

    Args:
        source: a path, or "hf:NAME[:SPLIT[:CONFIG]]".
        text_column: by name or by number from 1; None for "text", or the only choice left.
        label_column: likewise; None for "label", or the only choice left. Of two columns with other
            names, the one with fewer different values is taken, with a notice.
        header: whether the first row of a table names its columns; None to detect it.
        skip_empty: whether to leave out records without a text or a label, with a notice.

    Raises:
        DataError: the source cannot be read, has no records, lacks a column, or has an empty text
            or label.
    """
    if not holds_records(source):
        with open_raw(Path(source)):  # refuses directories and missing files
            pass
        raise DataError(
            f"{source}: holds no labels; give a .jsonl, .csv or .tsv file with a column of texts "
            "and a column of labels"
        )
    columns, records = open_columns(source, ColumnOptions(text_column, label_column, header))
    examples: list[Example] = []
    empty: list[_Empty] = []
    for record in records:
        text, label = _text(record, columns.text), _label(record, columns.label)
        faults = [value for value in (text, label) if isinstance(value, _Empty)]
        if isinstance(text, str) and isinstance(label, str):
            examples.append(Example(text, label))
        empty += faults[:1]
    _report_empty(source, empty, len(examples), skip=skip_empty)
    return examples


def _parts_of(
    source: str, unit: Unit, column: str | None, header: bool | None
) -> Iterator[DocumentPart]:
    if holds_records(source):
        return _record_parts(source, column, header)
    if unit == "file":
        return _file_parts(Path(source))
    return _whole(text_units(Path(source), unit))


def _record_parts(source: str, column: str | None, header: bool | None) -> Iterator[DocumentPart]:
    """The texts of records; those without a text are left out, with a notice."""
    name, records = open_text_column(source, column, header)
    count = blank = 0
    for record in records:
        count += 1
        text = string_of(record, name)
        if is_blank(text):
            blank += 1
        else:
            yield DocumentPart(text, opens=True)
    if 0 < blank < count:
        LOG.info("%s: %d of %d records have no text and are left out", source, blank, count)


def _whole(texts: Iterable[str]) -> Iterator[DocumentPart]:
    return (DocumentPart(text, opens=True) for text in texts if not is_blank(text))


def _file_parts(path: Path) -> Iterator[DocumentPart]:
    """The parts of a file that is one document; none if it is blank."""
    pending, opens = "", True  # leading white space, or half of a line end
    for block in read_blocks(path):
        text = (pending + block).replace("\r\n", "\n")
        keep = len(text) if opens and text.isspace() else int(text.endswith("\r"))
        text, pending = text[: len(text) - keep], text[len(text) - keep :]
        if text:
            yield DocumentPart(text, opens)
            opens = False
    if pending and not opens:
        yield DocumentPart(pending, opens=False)


def text_units(path: Path, unit: Unit) -> Iterable[str]:
    """The lines or paragraphs of a text file, blank lines included."""
    lines = (_unix(line) for line in read_lines(path))
    if unit == "line":
        return (line.removesuffix("\n") for line in lines)
    blocks = groupby(lines, key=is_blank)
    return ("".join(block).removesuffix("\n") for blank, block in blocks if not blank)


def _unix(line: str) -> str:
    return line[:-2] + "\n" if line.endswith("\r\n") else line


def _value(record: Record, column: str) -> Any:
    if column not in record.fields:
        names = ", ".join(record.fields) or "none"
        raise DataError(f"{record.place}: no column {column!r}; found: {names}")
    return record.fields[column]


def string_of(record: Record, column: str) -> str:
    """The string in a column; empty for null or NaN, which stand for a missing cell."""
    value = _value(record, column)
    if value is None or value != value:  # noqa: PLR0124  # NaN, as pandas writes it
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
    text = string_of(record, column)
    return _Empty(record.place, "the text is empty") if is_blank(text) else text


def _label(record: Record, column: str) -> str | _Empty:
    """The label: a string, a whole number, or true or false as JSON writes them."""
    value = _value(record, column)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value != value:  # noqa: PLR0124  # NaN
        kind = "null" if value is None else "NaN"
        fault = f"the label must be a string or a whole number, found {kind}"
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


def _report_empty(source: str, empty: Sequence[_Empty], kept: int, *, skip: bool) -> None:
    """Refuses a source with empty records; with ``skip`` it gives a notice instead."""
    if not empty:
        return
    first, *others = empty
    places = [record.place.removeprefix(f"{source}, ") for record in others[:MAX_LISTED_PLACES]]
    more = f", {len(others) - MAX_LISTED_PLACES} more" if len(others) > MAX_LISTED_PLACES else ""
    others_text = f"; the same in {', '.join(places)}{more}" if others else ""
    count = f"{len(empty)} of {len(empty) + kept} records have no text or no label"
    if not skip:
        raise DataError(
            f"{first.place}: {first.fault}{others_text} ({count}). Correct or remove them, or "
            "leave them out with --skip-empty"
        )
    if kept == 0:
        raise DataError(f"{source}: holds no records with a text and a label ({count})")
    place = first.place.removeprefix(f"{source}, ")
    LOG.warning("%s: %s and are left out, the first in %s", source, count, place)
