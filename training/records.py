"""Files and data sets as a stream of records, each with the place it came from.

A record is one JSON object of a .jsonl file, one row of a .csv or .tsv file (the first row names
the columns) or one row of a Hugging Face data set ("hf:NAME[:SPLIT[:CONFIG]]", an optional extra).
Every error is a `DataError` that names the file, the line, and what to do.

Does not know which columns matter: `training.readers` chooses them.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import importlib
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = 2**16  # bytes
HUGGING_FACE = "hf:"
TABLES = {".csv": ",", ".tsv": "\t"}
RECORD_SUFFIXES = (".jsonl", ".ndjson", *TABLES)


class DataError(ValueError):
    """The data cannot be used. The message names the file (and line) and says what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row: where it stands ("FILE, line N") and its columns in the order of the source."""

    place: str
    fields: dict[str, Any]


def holds_records(source: str) -> bool:
    """Whether the source has named columns, as against plain text."""
    return source.startswith(HUGGING_FACE) or Path(source).suffix.lower() in RECORD_SUFFIXES


def read_records(source: str) -> Iterator[Record]:
    """The records of one source, in its order.

    Raises:
        DataError: the source cannot be read, or a record in it is malformed.
    """
    if source.startswith(HUGGING_FACE):
        return _read_hugging_face(source)
    path = Path(source)
    delimiter = TABLES.get(path.suffix.lower())
    return _read_json_lines(path) if delimiter is None else _read_table(path, delimiter)


def read_lines(path: Path, *, compressed: bool = False) -> Iterator[str]:
    """The lines of a UTF-8 file with their line ends, without its byte order mark.

    ``compressed``: the file is gzipped.

    Lines end at a line feed and nowhere else: Unicode's other separators (U+0085, U+2028) are text,
    and real corpora have them inside sentences.

    Raises:
        DataError: the file cannot be opened, or a line is not UTF-8.
    """
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield _decoded(line, path, number)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged: {error}") from None


def read_blocks(path: Path) -> Iterator[str]:
    """The text of a UTF-8 file without its byte order mark, in blocks cut anywhere.

    However long its lines are, only a block of them is in memory.

    Raises:
        DataError: the file cannot be opened, or a line is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    line = 1
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                yield decoder.decode(block)
                line += block.count(b"\n")
            decoder.decode(b"", final=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise _not_unicode(path, line + error.object[: error.start].count(b"\n")) from None


def is_unicode(text: str) -> bool:
    """Whether a text is free of halves of surrogate pairs, which are no characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise _not_unicode(path, number) from None


def _not_unicode(path: Path, line: int) -> DataError:
    return DataError(
        f"{path}, line {line}: not UTF-8; convert the file to UTF-8 first (for example with iconv)"
    )


def _read_json_lines(path: Path) -> Iterator[Record]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(
                f"{place}: not valid JSON ({reason}); write one JSON object per line"
            ) from None
        if not isinstance(fields, dict):
            raise DataError(
                f'{place}: expected a JSON object such as {{"text": ...}}, '
                f"found {type(fields).__name__}"
            )
        yield Record(place, fields)


def _read_table(path: Path, delimiter: str) -> Iterator[Record]:
    # One field may be a whole document, longer than the csv module's limit of 128 KiB.
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(read_lines(path), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(
                f"{path}, line {reader.line_num}: malformed row ({error}); a field that holds "
                'quotes must be quoted, with its quotes doubled ("")'
            ) from None
        if row is None:
            return
        if not row:
            continue
        place = f"{path}, line {reader.line_num}"
        if header is None:
            header = _checked_header(row, place)
        elif len(row) != len(header):
            raise DataError(
                f"{place}: has {len(row)} columns where the header has {len(header)}: "
                f"{', '.join(header)}; quote fields that hold the delimiter"
            )
        else:
            yield Record(place, dict(zip(header, row, strict=True)))


def _checked_header(row: list[str], place: str) -> list[str]:
    header = [name.strip() for name in row]
    if len(set(header)) != len(header):
        raise DataError(f"{place}: the header names a column twice: {', '.join(header)}")
    return header


def _read_hugging_face(source: str) -> Iterator[Record]:
    name, _, rest = source.removeprefix(HUGGING_FACE).partition(":")
    split, _, config = rest.partition(":")
    try:
        datasets = importlib.import_module("datasets")
    except ModuleNotFoundError:
        raise DataError(
            f"{source}: needs the optional package `datasets`; install it with "
            "`pip install datasets`, or give a .jsonl, .csv or .tsv file"
        ) from None
    try:
        rows = datasets.load_dataset(name, config or None, split=split or "train")
    except Exception as error:  # noqa: BLE001 - it raises many kinds; all mean: not to be had
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise DataError(
            f"{source}: cannot be loaded ({reason}); expected hf:NAME[:SPLIT[:CONFIG]] "
            "and a network"
        ) from None
    for number, row in enumerate(rows, start=1):
        yield Record(f"{source}, row {number}", _with_label_names(row, rows.features))


def _with_label_names(row: dict[str, Any], features: dict[str, Any]) -> dict[str, Any]:
    """Class labels are stored as numbers there; people know them by name."""
    return {
        column: features[column].int2str(value)
        if hasattr(features[column], "int2str") and isinstance(value, int) and value >= 0
        else value
        for column, value in row.items()
    }
