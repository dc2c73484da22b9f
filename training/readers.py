"""Data sources as documents (for language models) and labelled examples (for classifiers).

Plain text is cut into documents by file, paragraph or line; .jsonl, .csv, .tsv and Hugging Face
data sets give one document per record. Nothing is lower-cased, stripped or tokenized here.

Does not know tokenizers, splits or networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, Literal

from training.records import DataError, Record, holds_records, is_unicode, read_lines, read_records

__all__ = ["DataError", "Example", "Unit", "read_documents", "read_examples"]

Unit = Literal["file", "paragraph", "line"]
TEXT = "text"
LABEL = "label"


@dataclass(frozen=True, slots=True)
class Example:
    """A document and the name of its label."""

    text: str
    label: str


def read_documents(
    sources: Sequence[str], *, unit: Unit = "file", column: str | None = None
) -> list[str]:
    """The documents of all sources, in order; blank documents are left out.

    Args:
        sources: paths, or "hf:NAME[:SPLIT[:CONFIG]]".
        unit: what one document is in a plain text file. Windows line ends become line feeds.
        column: the column that holds the text of records; by default "text", or the only one.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    documents: list[str] = []
    for source in sources:
        before = len(documents)
        texts = (
            _record_texts(source, column) if holds_records(source) else _text_units(source, unit)
        )
        documents.extend(text for text in texts if text and not text.isspace())
        if len(documents) == before:
            raise DataError(f"{source}: holds no text; give a file with at least one document")
    return documents


def read_examples(
    source: str, *, text_column: str | None = None, label_column: str | None = None
) -> list[Example]:
    """The labelled examples of a .jsonl, .csv or .tsv file or a Hugging Face data set, in order.

    Without names given, the columns are "text" and "label", or whatever is the only choice left.

    Raises:
        DataError: the source cannot be read, holds no records, lacks a column, or a text or label
            in it is empty.
    """
    if not holds_records(source):
        raise DataError(
            f"{source}: holds no labels; give a .jsonl, .csv or .tsv file with a column of texts "
            "and a column of labels"
        )
    first, records = _opened(source)
    label = _column(first, label_column, LABEL, "--label-column", taken=text_column or TEXT)
    text = _text_column(first, text_column, "--text-column", taken=label)
    return [Example(_text(record, text), _label(record, label)) for record in records]


def _text_units(source: str, unit: Unit) -> Iterable[str]:
    path = Path(source)
    if path.suffix.lower() == ".json":
        raise DataError(f"{source}: write one JSON object per line and name the file .jsonl")
    lines = (_unix(line) for line in read_lines(path))
    if unit == "line":
        return (line.removesuffix("\n") for line in lines)
    if unit == "paragraph":
        blocks = groupby(lines, key=lambda line: not line.strip())
        return ("".join(block).removesuffix("\n") for blank, block in blocks if not blank)
    return ("".join(lines),)


def _unix(line: str) -> str:
    return line[:-2] + "\n" if line.endswith("\r\n") else line


def _record_texts(source: str, column: str | None) -> Iterator[str]:
    first, records = _opened(source)
    name = _text_column(first, column, "--column", taken=LABEL)
    return (_string(record, name) for record in records)


def _opened(source: str) -> tuple[Record, Iterator[Record]]:
    """The first record, which decides the columns, and all of them."""
    records = read_records(source)
    first = next(records, None)
    if first is None:
        raise DataError(f"{source}: holds no records; give a file with at least one")
    return first, chain([first], records)


def _text_column(record: Record, asked: str | None, option: str, *, taken: str) -> str:
    """As `_column`, but what is chosen by elimination is a column of strings."""
    strings = {name: value for name, value in record.fields.items() if isinstance(value, str)}
    fields = record.fields if asked or TEXT in record.fields or not strings else strings
    return _column(Record(record.place, fields), asked, TEXT, option, taken=taken)


def _column(record: Record, asked: str | None, usual: str, option: str, *, taken: str) -> str:
    """The column asked for, else the usual one, else the only one that is not taken."""
    columns = list(record.fields)
    wanted = asked or usual
    if wanted in columns:
        return wanted
    others = [name for name in columns if name != taken]
    if asked is None and len(others) == 1:
        return others[0]
    found = ", ".join(columns) or "none"
    raise DataError(f"{record.place}: no column {wanted!r}; found: {found}. Choose with {option}")


def _value(record: Record, column: str) -> Any:
    if column not in record.fields:
        found = ", ".join(record.fields) or "none"
        raise DataError(f"{record.place}: no column {column!r}; found: {found}")
    return record.fields[column]


def _string(record: Record, column: str) -> str:
    value = _value(record, column)
    if not isinstance(value, str):
        kind = type(value).__name__
        raise DataError(f"{record.place}: column {column!r} must be a string, found {kind}")
    if not is_unicode(value):
        raise DataError(
            f"{record.place}: column {column!r} holds half of a surrogate pair "
            "(\\ud800 to \\udfff), which is no character; remove it"
        )
    return value


def _text(record: Record, column: str) -> str:
    text = _string(record, column)
    if not text.strip():
        raise DataError(f"{record.place}: the text is empty; remove the record")
    return text


def _label(record: Record, column: str) -> str:
    value = _value(record, column)
    if isinstance(value, bool) or not isinstance(value, str | int):
        kind = type(value).__name__
        raise DataError(
            f"{record.place}: the label must be a string or a whole number, found {kind}"
        )
    label = str(value).strip()
    if not label:
        raise DataError(f"{record.place}: the label is empty; remove the record")
    return label
