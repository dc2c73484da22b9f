"""The texts of sources that a model is applied to, blank ones included.

Every line, record or file has one text, in order, so that results can be joined with the source by
their position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from training.errors import DataError, format_list
from training.readers.columns import open_text_column, string_in
from training.readers.documents import Unit, read_parts, text_units
from training.readers.sources import Record, holds_records


class InputText(NamedTuple):
    """A text and the copied fields of its record."""

    text: str
    fields: dict[str, Any]


class InputOptions(NamedTuple):
    """The options of reading; ``copied``: columns that are returned with each text."""

    unit: Unit = "line"
    column: str | None = None
    header: bool | None = None
    copied: tuple[str, ...] = ()


def read_inputs(sources: Sequence[str], options: InputOptions) -> Iterator[InputText]:
    """The texts of all sources, in order.

    Memory holds one text at a time.

    Raises:
        DataError: a source cannot be read, or lacks a column.
    """
    for source in sources:
        if holds_records(source):
            yield from _of_records(source, options)
        elif options.copied:
            raise DataError(f"{source}: has no columns, so --copy has nothing to copy")
        elif options.unit == "file":
            yield InputText("".join(part.text for part in read_parts([source])), {})
        else:
            yield from (InputText(text, {}) for text in text_units(Path(source), options.unit))


def _of_records(source: str, options: InputOptions) -> Iterator[InputText]:
    name, records = open_text_column(source, options.column, options.header)
    for record in records:
        fields = {column: _copied(record, column) for column in options.copied}
        yield InputText(string_in(record, name), fields)


def _copied(record: Record, column: str) -> Any:
    if column not in record.fields:
        found = format_list(list(record.fields)) or "none"
        raise DataError(f"{record.place}: --copy: no column {column!r}; found: {found}")
    return record.fields[column]
