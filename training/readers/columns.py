"""The columns of texts and of labels in a source of records.

A column is given by its name (upper and lower case count only if two names differ by them alone) or
by its number from 1. Otherwise "text" and "label" or "labels" are taken, or the only choice left.
Of columns with other names, the one that repeats a few short values has the labels, and the one
with by far the most characters has the texts, with a notice. Several columns of labels are refused
by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from training.errors import DataError
from training.readers.files import parse_count
from training.readers.notices import LOG
from training.readers.sources import Record, is_unicode, read_records
from training.readers.tables import SAMPLE_CHARACTERS

TEXT_COLUMN = "text"
LABEL_COLUMN = "label"
LABELS_COLUMN = "labels"  # of several labels a text
USUAL_COLUMNS = {TEXT_COLUMN, LABEL_COLUMN, LABELS_COLUMN}
SAMPLE_RECORDS = 1_000  # by which columns are guessed
MAX_LABEL_LENGTH = 60  # characters, for a column to be guessed as labels
MIN_RECORDS = 4  # from which labels are guessed
CLEARLY_LONGER = 1.5  # times the characters of any other column, to be guessed as texts
ONE_COLUMN_HINT = (
    "for several labels a text, write them into one column and name what is between them with "
    "--label-separator"
)
MAX_SHOWN_NAME = 100  # characters of a column name in a message


class ColumnOptions(NamedTuple):
    """The options: columns by name or number, and whether a first row names them."""

    text: str | None = None
    label: str | None = None
    header: bool | None = None


class ColumnNames(NamedTuple):
    """The names of the text column and of the label column."""

    text: str
    label: str


def open_columns(source: str, options: ColumnOptions) -> tuple[ColumnNames, Iterator[Record]]:
    """The columns of a source of labeled examples, and its records.

    Raises:
        DataError: the source cannot be read, holds no records, or lacks a column.
    """
    sample, records = _opened(source, options.header, options.text, options.label)
    guess = _guessed(source, sample) if options.text is options.label is None else None
    if guess is not None:
        return guess, records
    first = sample[0]
    if options.text is not None:  # before the label column is chosen among the others
        _column(first, options.text, TEXT_COLUMN, "--text-column", taken="")
    text_name = _named(first, options.text) or TEXT_COLUMN
    label = _label_column(source, sample, options.label, taken=text_name)
    text = _text_column(first, options.text, "--text-column", taken=label)
    if text == label:
        raise DataError(
            f"{first.names_place}: column {text!r} would hold both texts and labels; choose with "
            "--text-column and --label-column"
        )
    return ColumnNames(text, label), records


def open_text_column(
    source: str, given: str | None, header: bool | None
) -> tuple[str, Iterator[Record]]:
    """The text column of a source, which may have a label column, too, and its records.

    Raises:
        DataError: the source cannot be read, holds no records, or lacks the column.
    """
    sample, records = _opened(source, header, given)
    guess = _guessed(source, sample) if given is None else None
    if guess is not None:
        return guess.text, records
    return _text_column(sample[0], given, "--column", taken=_usual_label(sample[0])), records


def value_in(record: Record, column: str) -> Any:
    """The value in a column. Raises DataError if the record has no such column."""
    if column not in record.fields:
        names = ", ".join(record.fields) or "none"
        raise DataError(f"{record.place}: no column {column!r}; found: {names}")
    return record.fields[column]


def string_in(record: Record, column: str) -> str:
    """The string in a column; empty for null or NaN, which stand for a missing cell.

    Raises:
        DataError: the record has no such column, or no string in it.
    """
    value = value_in(record, column)
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


def _opened(
    source: str, header: bool | None, *given: str | None
) -> tuple[Sequence[Record], Iterator[Record]]:
    """The first records, by which columns are chosen, and all records."""
    names = {name.lower() for name in given if name is not None and not name.isdecimal()}
    records = read_records(source, header=header, known={*USUAL_COLUMNS, *names})
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


def _label_column(source: str, sample: Sequence[Record], given: str | None, *, taken: str) -> str:
    """The label column; of several candidates without the usual name none is chosen."""
    first = sample[0]
    others = [name for name in first.fields if name != taken]
    if given is not None and _named(first, given) is None and "," in given:
        raise DataError(
            f"--label-column {given:.{MAX_SHOWN_NAME}}: names several columns, and the labels of a "
            f"text are in one here; choose one of {', '.join(others)}; {ONE_COLUMN_HINT}"
        )
    usual = _usual_label(first)
    if given is None and _named(first, usual) is None and len(others) > 1:
        candidates = [name for name in others if _repeats(name, sample)]
        if len(candidates) == 1:
            return _told(source, taken, candidates[0]).label
        if candidates:
            names = ", ".join(map(repr, candidates))
            raise DataError(
                f"{first.names_place}: several columns look like labels: {names}, and the labels "
                f"of a text are in one here; choose one with --label-column, by name or by number "
                f"(1 to {len(first.fields)}); {ONE_COLUMN_HINT}"
            )
    return _column(first, given, usual, "--label-column", taken=taken)


def _usual_label(record: Record) -> str:
    """The usual name of the label column: "labels" if the record has only that one, or "label"."""
    several = _named(record, LABEL_COLUMN) is None and _named(record, LABELS_COLUMN) is not None
    return LABELS_COLUMN if several else LABEL_COLUMN


def _repeats(name: str, sample: Sequence[Record]) -> bool:
    """Whether a column repeats a few short values, as labels do."""
    values = [str(record.fields.get(name, "")).strip() for record in sample]
    different = set(values)
    if (
        len(values) < MIN_RECORDS
        or not any(different)
        or max(map(len, different)) > MAX_LABEL_LENGTH
    ):
        return False
    return different <= {"0", "1"} or 1 < len(different) <= max(2, len(values) // 3)


def _guessed(source: str, sample: Sequence[Record]) -> ColumnNames | None:
    """A guess for two columns without usual names: the one with fewer values has the labels."""
    first = sample[0]
    names = [name for name in first.fields if not _is_unnamed(name, sample)]
    if {name.lower() for name in first.fields} & USUAL_COLUMNS:
        return None
    if len(names) > 2:
        return _guessed_of_many(source, names, sample)
    if len(names) != 2:
        return None
    values = [[str(record.fields.get(name, "")) for record in sample] for name in names]
    weights = [(len(set(column)), sum(map(len, column))) for column in values]
    if weights[0] == weights[1]:
        return None
    label, text = names if weights[0] < weights[1] else reversed(names)
    return _told(source, text, label)


def _guessed_of_many(
    source: str, names: Sequence[str], sample: Sequence[Record]
) -> ColumnNames | None:
    """The only column that repeats a few values, and the one with by far the most characters."""
    labels = [name for name in names if _repeats(name, sample)]
    sizes = {name: sum(len(str(r.fields.get(name, ""))) for r in sample) for name in names}
    text, second = sorted(names, key=lambda name: -sizes[name])[:2]
    if len(labels) != 1 or text in labels or sizes[text] < CLEARLY_LONGER * sizes[second]:
        return None
    return _told(source, text, labels[0])


def _told(source: str, text: str, label: str) -> ColumnNames:
    LOG.info(
        "%s: texts are taken from column %r, labels from %r; others are chosen by name or number",
        source,
        text,
        label,
    )
    return ColumnNames(text, label)


def _is_unnamed(name: str, sample: Sequence[Record]) -> bool:
    """Whether all cells of a column are empty, as those that spreadsheets append."""
    return all(record.fields.get(name) in ("", None) for record in sample)


def _text_column(record: Record, given: str | None, option: str, *, taken: str) -> str:
    """`_column`, where the only column that is left must have strings."""
    strings = {name: value for name, value in record.fields.items() if isinstance(value, str)}
    fields = record.fields if given or TEXT_COLUMN in record.fields or not strings else strings
    return _column(
        Record(record.place, fields, record.names_place), given, TEXT_COLUMN, option, taken=taken
    )


def _column(record: Record, given: str | None, usual: str, option: str, *, taken: str) -> str:
    """The column that was given, else the usual one, else the only one that is not taken."""
    name = _named(record, given or usual)
    if name is not None:
        return name
    columns = list(record.fields)
    others = [name for name in columns if name != taken]
    if given is None and len(others) == 1:
        return others[0]
    names = ", ".join(columns) or "none"
    column = given or usual
    shown = column if len(column) <= MAX_SHOWN_NAME else column[:MAX_SHOWN_NAME] + "..."
    raise DataError(
        f"{record.names_place}: no column {shown!r}; found: {names}. Choose with {option}, by name "
        f"or by number (1 to {len(columns)})"
    )


def _named(record: Record, given: str | None) -> str | None:
    """The column of a name or number; None if there is none."""
    columns = list(record.fields)
    if given is None or given in columns:
        return given
    alike = [name for name in columns if name.lower() == given.lower()]
    if len(alike) == 1:
        return alike[0]
    number = parse_count(given)
    return columns[number - 1] if number is not None and 1 <= number <= len(columns) else None
