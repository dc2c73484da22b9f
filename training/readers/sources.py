"""Sources of data (files and Hugging Face data sets) as streams of records.

A record is a JSON object of a .jsonl file (or of a .json file with one object per line), a row of a
.csv or .tsv file (`training.readers.tables`), or a row of a Hugging Face data set
("hf:NAME[:SPLIT[:CONFIG]]", with an optional package). Every error is a `DataError` with the file,
the line and the remedy.
"""

from __future__ import annotations

import glob
import importlib
import json
import os
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import DataError
from training.readers.files import read_lines, suffix_of
from training.readers.tables import DEFAULT_DELIMITERS, read_table

HUGGING_FACE_PREFIX = "hf:"
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
JSON_ARRAY_ADVICE = (
    "write one JSON object per line and name the file .jsonl (jq -c '.[]' makes that)"
)
BLANK_CHARACTERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols without a glyph


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a source.

    Args:
        place: its position for messages, "FILE, line N".
        fields: the values by column, in the order of the source.
        names_place: the position of the column names.
    """

    place: str
    fields: dict[str, Any]
    names_place: str


def expand_sources(sources: Sequence[str]) -> list[str]:
    """The sources with environment variables and wildcards (``*``, ``?``, ``[]``) expanded.

    Raises:
        DataError: no file matches a pattern.
    """
    expanded: list[str] = []
    for source in map(os.path.expandvars, sources):
        is_pattern = any(mark in source for mark in "*?[") and not Path(source).exists()
        matches = sorted(glob.glob(source)) if is_pattern else [source]  # noqa: PTH207
        if not matches:
            raise DataError(f"{source}: no file matches")
        expanded.extend(matches)
    return expanded


def holds_records(source: str) -> bool:
    """Whether a source has records; otherwise it is plain text."""
    return source.startswith(HUGGING_FACE_PREFIX) or suffix_of(source) in (
        *JSON_SUFFIXES,
        *DEFAULT_DELIMITERS,
    )


def read_records(
    source: str, *, header: bool | None = None, known: Collection[str] = ()
) -> Iterator[Record]:
    """The records of a source, in order.

    Args:
        source: a path, or "hf:NAME[:SPLIT[:CONFIG]]".
        header: for tables, as in `training.readers.tables.read_table`.
        known: for tables, as in `training.readers.tables.read_table`.

    Raises:
        DataError: the source cannot be read, or a record in it is malformed.
    """
    if source.startswith(HUGGING_FACE_PREFIX):
        return _read_hugging_face(source)
    path = Path(source)
    if suffix_of(path) in JSON_SUFFIXES:
        return _read_json_lines(path)
    return _read_table(path, header, known)


def is_blank(text: str) -> bool:
    """Whether a text has only white space and characters without a visible glyph."""
    if text[:1].isalnum():  # nearly all texts; the loop is slow
        return False
    return all(
        character.isspace()
        or character in BLANK_CHARACTERS
        or unicodedata.category(character) == "Cf"
        for character in text
    )


def is_unicode(text: str) -> bool:
    """Whether a text has no unpaired surrogate, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_table(path: Path, header: bool | None, known: Collection[str]) -> Iterator[Record]:
    table = read_table(path, header=header, known=known)
    if table is None:
        return
    names_place = f"{path}, line {table.line}"
    for row in table.rows:
        fields = dict(zip(table.names, row.cells, strict=True))
        yield Record(f"{path}, line {row.line}", fields, names_place)


def _read_json_lines(path: Path) -> Iterator[Record]:
    for number, text in enumerate(read_lines(path), start=1):
        line = text.removeprefix("\ufeff")  # of a concatenated file
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            advice = (
                JSON_ARRAY_ADVICE
                if line.lstrip().startswith("[")
                else "write one JSON object per line"
            )
            raise DataError(f"{place}: not valid JSON ({reason}); {advice}") from None
        if not isinstance(fields, dict):
            advice = f". If it is an array, {JSON_ARRAY_ADVICE}" if isinstance(fields, list) else ""
            raise DataError(
                f'{place}: expected a JSON object such as {{"text": ...}}, '
                f"found {type(fields).__name__}{advice}"
            )
        yield Record(place, fields, place)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("an object has a name twice")
    return fields


def _read_hugging_face(source: str) -> Iterator[Record]:
    name, _, rest = source.removeprefix(HUGGING_FACE_PREFIX).partition(":")
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
    except Exception as error:  # noqa: BLE001 - it raises many types
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise DataError(
            f"{source}: cannot be loaded ({reason}); expected hf:NAME[:SPLIT[:CONFIG]] "
            "and a network"
        ) from None
    for number, row in enumerate(rows, start=1):
        place = f"{source}, row {number}"
        yield Record(place, _with_label_names(row, rows.features), place)


def _with_label_names(row: dict[str, Any], features: dict[str, Any]) -> dict[str, Any]:
    """The row with the names of class labels in place of their numbers."""
    return {
        column: features[column].int2str(value)
        if hasattr(features[column], "int2str") and isinstance(value, int) and value >= 0
        else value
        for column, value in row.items()
    }
