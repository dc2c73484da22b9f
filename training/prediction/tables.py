"""Results as lines of JSON or rows of CSV, also compressed.

Each chunk is complete lines, and with gzip a member of its own, so that chunks are appended to a
file one after the other.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from training.errors import OutputError
from training.readers.files import suffix_of

TableFormat = Literal[".jsonl", ".csv"]
FORMATS: tuple[TableFormat, ...] = (".jsonl", ".csv")
COMPRESSED = ".gz"


def format_of(path: Path) -> TableFormat | None:
    """The format of a file by its name; None if the name is that of a directory.

    Raises:
        OutputError: the name has the suffix of another format.
    """
    suffix = suffix_of(path)
    found = next((name for name in FORMATS if name == suffix), None)
    if path.suffix.lower() in (".bz2", ".xz", ".zst", COMPRESSED) and (
        found is None or path.suffix.lower() != COMPRESSED
    ):
        raise OutputError(f"{path}: expected a name in .jsonl, .jsonl.gz, .csv or .csv.gz")
    if found is None and suffix in (".json", ".tsv", ".txt", ".parquet", ".ndjson"):
        raise OutputError(f"{path}: {suffix} cannot be written; choose .jsonl or .csv")
    return found


def header(path: Path, columns: Sequence[str]) -> bytes:
    """The beginning of the file: the names of a CSV file."""
    if format_of(path) != ".csv":
        return b""
    return _packed(path, _csv_lines([columns]))


def lines(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> bytes:
    """The lines of the rows. JSON leaves out fields without a value, CSV has empty cells."""
    if format_of(path) == ".csv":
        text = _csv_lines([[_cell(row.get(name)) for name in columns] for row in rows])
    else:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return _packed(path, text)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _csv_lines(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _packed(path: Path, text: str) -> bytes:
    content = text.encode("utf-8", "surrogatepass")
    return gzip.compress(content, mtime=0) if path.suffix.lower() == COMPRESSED else content
