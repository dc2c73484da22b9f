"""Files and data sets as a stream of records, each with the place it came from.

A record is one JSON object of a .jsonl file (or a .json file that has one to a line), one row of a
.csv or .tsv file (`training.readers.tables`) or one row of a Hugging Face data set
("hf:NAME[:SPLIT[:CONFIG]]", an optional extra). Every error is a `DataError` that names the file,
the line, and what to do.

Does not know which columns matter: `training.readers.documents` chooses them.
"""

from __future__ import annotations

import importlib
import json
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import DataError
from training.readers.files import read_lines, suffix_of
from training.readers.tables import TABLES, read_table

HUGGING_FACE = "hf:"
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
JSON_ARRAY = "write one JSON object per line and name the file .jsonl (jq -c '.[]' makes that)"
FILLERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that show nothing


@dataclass(frozen=True, slots=True)
class Record:
    """One row: where it stands ("FILE, line N") and its columns in the order of the source.

    ``names_place`` is where the names of its columns stand.
    """

    place: str
    fields: dict[str, Any]
    names_place: str


def holds_records(source: str) -> bool:
    """Whether the source has named columns, as against plain text."""
    return source.startswith(HUGGING_FACE) or suffix_of(source) in (*JSON_SUFFIXES, *TABLES)


def read_records(
    source: str, *, header: bool | None = None, known: Collection[str] = ()
) -> Iterator[Record]:
    """The records of one source, in its order.

    ``header`` and ``known`` are for tables, as in `training.readers.tables.read_table`.

    Raises:
        DataError: the source cannot be read, or a record in it is malformed.
    """
    if source.startswith(HUGGING_FACE):
        return _read_hugging_face(source)
    path = Path(source)
    if suffix_of(path) in TABLES:
        return _read_table(path, header, known)
    return _read_json_lines(path)


def is_blank(text: str) -> bool:
    """Whether a text shows nothing: it has only white space and characters without a width."""
    if text[:1].isalnum():  # nearly all texts: the loop is slow
        return False
    return all(
        character.isspace() or character in FILLERS or unicodedata.category(character) == "Cf"
        for character in text
    )


def is_unicode(text: str) -> bool:
    """Whether a text is free of halves of surrogate pairs, which are no characters."""
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
        line = text.removeprefix("\ufeff")  # of a file that was put together of several
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            advice = (
                JSON_ARRAY if line.lstrip().startswith("[") else "write one JSON object per line"
            )
            raise DataError(f"{place}: not valid JSON ({reason}); {advice}") from None
        if not isinstance(fields, dict):
            advice = f". If it is an array, {JSON_ARRAY}" if isinstance(fields, list) else ""
            raise DataError(
                f'{place}: expected a JSON object such as {{"text": ...}}, '
                f"found {type(fields).__name__}{advice}"
            )
        yield Record(place, fields, place)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return fields


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
        place = f"{source}, row {number}"
        yield Record(place, _with_label_names(row, rows.features), place)


def _with_label_names(row: dict[str, Any], features: dict[str, Any]) -> dict[str, Any]:
    """Class labels are stored as numbers there; people know them by name."""
    return {
        column: features[column].int2str(value)
        if hasattr(features[column], "int2str") and isinstance(value, int) and value >= 0
        else value
        for column, value in row.items()
    }
