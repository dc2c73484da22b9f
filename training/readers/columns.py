"""Which columns of a source hold its texts and its labels.

A column is asked for by its name (upper and lower case count only where two names differ by them
alone) or by its number from 1. Without that, "text" and "label" are taken, or the only choice left.
Of two columns the one with fewer different values holds the labels, which is a guess and is told.

Does not know what is made of texts and labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from training.errors import DataError
from training.readers.notices import LOG
from training.readers.sources import Record, read_records
from training.whole_numbers import whole_number

TEXT = "text"
LABEL = "label"
SAMPLE_RECORDS = 1_000  # that a guess looks at
SAMPLE_CHARACTERS = 2**22
SHOWN_CHARACTERS = 100  # of a name that a message repeats


class Columns(NamedTuple):
    """What is asked for: columns by name or number, and whether a first row names them."""

    text: str | None = None
    label: str | None = None
    header: bool | None = None


class Chosen(NamedTuple):
    """The names of the columns of texts and labels."""

    text: str
    label: str


def open_columns(source: str, asked: Columns) -> tuple[Chosen, Iterator[Record]]:
    """The columns of a source of labeled examples, and its records.

    Raises:
        DataError: the source cannot be read, holds no records, or lacks a column.
    """
    sample, records = _opened(source, asked.header, asked.text, asked.label)
    guess = _guessed(source, sample) if asked.text is asked.label is None else None
    if guess is not None:
        return guess, records
    first = sample[0]
    if asked.text is not None:  # before a label is looked for among the others
        _column(first, asked.text, TEXT, "--text-column", taken="")
    text_name = _named(first, asked.text) or TEXT
    label = _column(first, asked.label, LABEL, "--label-column", taken=text_name)
    text = _text_column(first, asked.text, "--text-column", taken=label)
    if text == label:
        raise DataError(
            f"{first.names_place}: column {text!r} would hold both texts and labels; choose with "
            "--text-column and --label-column"
        )
    return Chosen(text, label), records


def open_text_column(
    source: str, asked: str | None, header: bool | None
) -> tuple[str, Iterator[Record]]:
    """The column of texts of a source, and its records; labels may stand beside it.

    Raises:
        DataError: the source cannot be read, holds no records, or lacks the column.
    """
    sample, records = _opened(source, header, asked)
    guess = _guessed(source, sample) if asked is None else None
    if guess is not None:
        return guess.text, records
    return _text_column(sample[0], asked, "--column", taken=LABEL), records


def _opened(
    source: str, header: bool | None, *asked: str | None
) -> tuple[Sequence[Record], Iterator[Record]]:
    """The first records, by which columns are chosen, and all of them."""
    names = {name.lower() for name in asked if name is not None and not name.isdecimal()}
    records = read_records(source, header=header, known={TEXT, LABEL, *names})
    sample = _sample(records)
    if not sample:
        raise DataError(
            f"{source}: holds no records; give a file with at least one (a table whose only row is "
            "data needs --no-header)"
        )
    return sample, chain(sample, records)


def _sample(records: Iterator[Record]) -> list[Record]:
    sample: list[Record] = []
    characters = 0
    for record in islice(records, SAMPLE_RECORDS):
        sample.append(record)
        characters += sum(len(value) for value in record.fields.values() if isinstance(value, str))
        if characters > SAMPLE_CHARACTERS:
            break
    return sample


def _guessed(source: str, sample: Sequence[Record]) -> Chosen | None:
    """Of two columns of which none has a usual name: the one with fewer values has the labels."""
    first = sample[0]
    names = [name for name in first.fields if not _is_unnamed(name, sample)]
    if len(names) != 2 or {name.lower() for name in first.fields} & {TEXT, LABEL}:
        return None
    values = [[str(record.fields.get(name, "")) for record in sample] for name in names]
    weights = [(len(set(column)), sum(map(len, column))) for column in values]
    if weights[0] == weights[1]:
        return None
    label, text = names if weights[0] < weights[1] else reversed(names)
    LOG.info(
        "%s: texts are taken from column %r, labels from %r; others are chosen by name or number",
        source,
        text,
        label,
    )
    return Chosen(text, label)


def _is_unnamed(name: str, sample: Sequence[Record]) -> bool:
    """Whether a column has no cell that is filled, as spreadsheets leave some at the end."""
    return all(record.fields.get(name) in ("", None) for record in sample)


def _text_column(record: Record, asked: str | None, option: str, *, taken: str) -> str:
    """As `_column`, but what is chosen by elimination is a column of strings."""
    strings = {name: value for name, value in record.fields.items() if isinstance(value, str)}
    fields = record.fields if asked or TEXT in record.fields or not strings else strings
    return _column(
        Record(record.place, fields, record.names_place), asked, TEXT, option, taken=taken
    )


def _column(record: Record, asked: str | None, usual: str, option: str, *, taken: str) -> str:
    """The column asked for, else the usual one, else the only one that is not taken."""
    found = _named(record, asked or usual)
    if found is not None:
        return found
    columns = list(record.fields)
    others = [name for name in columns if name != taken]
    if asked is None and len(others) == 1:
        return others[0]
    told = ", ".join(columns) or "none"
    wanted = asked or usual
    shown = wanted if len(wanted) <= SHOWN_CHARACTERS else wanted[:SHOWN_CHARACTERS] + "..."
    raise DataError(
        f"{record.names_place}: no column {shown!r}; found: {told}. Choose with {option}, by name "
        f"or by number (1 to {len(columns)})"
    )


def _named(record: Record, asked: str | None) -> str | None:
    """The column of that name or number."""
    columns = list(record.fields)
    if asked is None or asked in columns:
        return asked
    alike = [name for name in columns if name.lower() == asked.lower()]
    if len(alike) == 1:
        return alike[0]
    number = whole_number(asked)
    return columns[number - 1] if number is not None and 1 <= number <= len(columns) else None
