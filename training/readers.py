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
from typing import Any, Literal, NamedTuple

from training.records import (
    DataError,
    Record,
    holds_records,
    is_unicode,
    read_blocks,
    read_lines,
    read_records,
)

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
TEXT = "text"
LABEL = "label"


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
    sources: Sequence[str], *, unit: Unit = "file", column: str | None = None
) -> Iterator[Part]:
    """The documents of all sources, in order, in parts; blank documents are left out.

    A plain text file that is one document comes in many parts, any other document in one, so that
    no more than a document or a block of a file is in memory.

    Args:
        sources: paths, or "hf:NAME[:SPLIT[:CONFIG]]".
        unit: what one document is in a plain text file. Windows line ends become line feeds.
        column: the column that holds the text of records; by default "text", or the only one.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    for source in sources:
        found = False
        for part in _parts_of(source, unit, column):
            found = True
            yield part
        if not found:
            raise DataError(f"{source}: holds no text; give a file with at least one document")


def read_documents(
    sources: Sequence[str], *, unit: Unit = "file", column: str | None = None
) -> list[str]:
    """The documents of `read_parts`, whole and all at once.

    Raises:
        DataError: a source cannot be read or holds no text.
    """
    return joined(read_parts(sources, unit=unit, column=column))


def joined(parts: Iterable[Part]) -> list[str]:
    """The documents whose parts these are."""
    documents: list[list[str]] = []
    for part in parts:
        if part.opens:
            documents.append([])
        documents[-1].append(part.text)
    return ["".join(parts) for parts in documents]


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


def _parts_of(source: str, unit: Unit, column: str | None) -> Iterator[Part]:
    path = Path(source)
    if holds_records(source):
        return _whole(_record_texts(source, column))
    if path.suffix.lower() == ".json":
        raise DataError(f"{source}: write one JSON object per line and name the file .jsonl")
    if unit == "file":
        return _file_parts(path)
    return _whole(_text_units(path, unit))


def _whole(texts: Iterable[str]) -> Iterator[Part]:
    return (Part(text, opens=True) for text in texts if text and not text.isspace())


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
    blocks = groupby(lines, key=lambda line: not line.strip())
    return ("".join(block).removesuffix("\n") for blank, block in blocks if not blank)


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
