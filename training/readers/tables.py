"""Tables (.csv, .tsv) as rows of cells, each with its line; which row names the columns.

CSV follows RFC 4180: a cell in quotes may hold the delimiter, line ends, and quotes written twice.
The delimiter is a comma unless the first rows say otherwise (semicolon, tab, vertical bar).

TSV is plain: a line is a row, tabs separate its cells, and quotes are characters like others. It
is read by the rules of CSV in two cases: all names of the columns are in quotes; or the lines do
not all have as many cells as the first, but by the rules of CSV all rows do, and no cell holds what
looks like rows. Names in quotes do not count where the lines are rows as they are, a row begins
without a quote, and by the rules of CSV a cell would hold what looks like rows.

Does not know what columns mean.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from training.errors import DataError
from training.readers.files import LONGEST_LINE, read_lines, suffix_of
from training.readers.notices import LOG
from training.readers.table_header import names_columns

TABLES = {".csv": ",", ".tsv": "\t"}
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SEPARATOR_LINE = re.compile(r"sep=([^\w\s\"]|\t)\r?\n")  # spreadsheets begin a file with it
SAMPLE_LINES = 200  # by which the delimiter is found
SAMPLE_ROWS = 1_000  # by which it is found whether the first row names the columns
SAMPLE_CHARACTERS = 2**22
QUOTED = re.compile(r'"(?:[^"]|"")*"')


class Row(NamedTuple):
    """The line where it begins, from 1, and its cells."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """``skipped``: lines before the first row."""

    delimiter: str
    quoted: bool
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """Names of the columns ("1", "2", ... where no row names them), their line, and the rows."""

    names: list[str]
    line: int
    rows: Iterator[Row]


def read_table(path: Path, *, header: bool | None, known: Collection[str]) -> Table | None:
    """A table whose rows all have as many cells as the first; None if it has no row.

    Args:
        path: a .csv or .tsv file.
        header: whether the first row names the columns; None: what the file looks like.
        known: names of columns, in lower case, by which a first row of names is recognized.

    Raises:
        DataError: the file cannot be read, or is malformed.
    """
    dialect = dialect_of(path)
    rows = read_rows(path, dialect)
    sample = _sample(rows)
    if not sample:
        return None
    rows = chain(sample, rows)
    first = sample[0]
    if not dialect.quoted:
        first = Row(first.line, _unquoted(first.cells))
    place = f"{path}, line {first.line}"
    cells = [first.cells, *(row.cells for row in sample[1:])]
    if names_columns(place, cells, asked=header, known=known):
        next(rows)
        names = _checked_names(path, first)
    else:
        names = [str(number) for number in range(1, len(first.cells) + 1)]
    return Table(names, first.line, _even(path, rows, names))


def dialect_of(path: Path) -> Dialect:
    """How the file is written."""
    usual = TABLES[suffix_of(path)]
    lines = list(islice(read_lines(path), SAMPLE_LINES + 1))
    whole = len(lines) <= SAMPLE_LINES
    told = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if told is not None:
        return Dialect(told[1], quoted=True, skipped=1)
    delimiter = _delimiter(lines, usual, whole=whole)
    if delimiter != usual:
        LOG.info("%s: cells are separated by %s", path, DELIMITERS[delimiter])
    plain = delimiter == usual == "\t" and not _follows_csv(path, lines)
    return Dialect(delimiter, quoted=not plain)


def read_rows(path: Path, dialect: Dialect) -> Iterator[Row]:
    """The rows of the file without blank lines, in order.

    Raises:
        DataError: the file cannot be read, or is malformed.
    """
    return _quoted_rows(path, dialect) if dialect.quoted else _plain_rows(path)


def _plain_rows(path: Path) -> Iterator[Row]:
    escaped = 0
    for number, text in enumerate(read_lines(path), start=1):
        line = text.removesuffix("\n").removesuffix("\r")
        if not line:
            continue
        cells = line.split("\t")
        if '""' in line:
            escaped += any('""' in cell and QUOTED.fullmatch(cell) for cell in cells)
        yield Row(number, cells)
    if escaped:
        LOG.info(
            "%s: rows with cells in quotes as CSV writes them: %d. A .tsv file is read as it is; "
            "name the file .csv to have the quotes taken away",
            path,
            escaped,
        )


def _quoted_rows(path: Path, dialect: Dialect, *, tells: bool = True) -> Iterator[Row]:
    """``tells``: whether cells that look like rows are told."""
    csv.field_size_limit(LONGEST_LINE)
    lines = islice(read_lines(path), dialect.skipped, None)
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    line, suspect = 1 + dialect.skipped, []
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise _malformed(
                path, dialect, line, dialect.skipped + reader.line_num, error
            ) from None
        if cells is None:
            break
        if cells:
            yield Row(line, cells)
        if _looks_like_rows(cells, dialect.delimiter):
            suspect.append(line)
        line = 1 + dialect.skipped + reader.line_num
    if suspect and tells:
        LOG.warning(
            "%s, line %d: a cell in quotes spans lines that look like rows of their own (%d such "
            "cells); if its quotes are not meant so, write them twice inside quotes",
            path,
            suspect[0],
            len(suspect),
        )


def _looks_like_rows(cells: Sequence[str], delimiter: str) -> bool:
    """Whether a cell goes over a line end and holds as many delimiters as the row."""
    return len(cells) > 1 and any(
        "\n" in cell and cell.count(delimiter) >= len(cells) - 1 for cell in cells
    )


def _malformed(path: Path, dialect: Dialect, row: int, line: int, error: csv.Error) -> DataError:
    """Tells where the quote was opened that is not closed, or closed in the wrong place."""
    opening = _opening_line(path, dialect.delimiter, row)
    if opening is not None and "unexpected end" in str(error):
        return DataError(
            f"{path}, line {opening}: malformed row: a quote opens here and is never closed; close "
            'it, or write a cell that holds quotes in quotes, with its own doubled ("")'
        )
    if "new-line character" in str(error):
        return DataError(
            f"{path}, line {line}: malformed row: a carriage return stands inside a cell; put the "
            "cell in quotes, or remove it"
        )
    where = "" if opening in (None, line) else f", in a cell whose quote opens in line {opening}"
    return DataError(
        f"{path}, line {line}: malformed row ({error}){where}; a cell that holds quotes must be "
        'quoted, with its quotes doubled ("")'
    )


def _opening_line(path: Path, delimiter: str, row: int) -> int | None:
    """The line of the last quote that opens a cell, up to the first fault, from line ``row`` on."""
    opening, quoted, before = None, False, delimiter
    for number, line in enumerate(islice(read_lines(path), row - 1, None), start=row):
        for match in re.finditer('"+|[^"]', line):
            part = match[0]
            if not quoted and part[0] == '"' and before in (delimiter, "\n"):
                opening, quoted = number, len(part) % 2 == 1
            elif quoted and part[0] == '"':
                quoted = len(part) % 2 == 0
            elif not quoted and before == '"' and part not in (delimiter, "\r", "\n"):
                return opening
            elif not quoted and part == "\n":
                opening = None
            before = part[-1]
    return opening


def _delimiter(lines: Sequence[str], usual: str, *, whole: bool) -> str:
    """The usual one, unless another gives at least two rows and all of them the same width.

    Where none does, because a row is malformed: the one that most lines have as often as the first,
    if that has no usual one.
    """

    def is_even(delimiter: str) -> bool:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return False
        widths = {len(row) for row in (rows if whole else rows[:-1])}
        return len(rows) > 1 and len(widths) == 1 and min(widths) > 1

    candidates = [usual, *(other for other in DELIMITERS if other != usual)]
    csv.field_size_limit(LONGEST_LINE)
    even = next((delimiter for delimiter in candidates if is_even(delimiter)), None)
    if even is not None or not lines or usual in lines[0]:
        return even or usual
    return next((other for other in candidates if _most_have(lines, other)), usual)


def _most_have(lines: Sequence[str], delimiter: str) -> bool:
    first, *others = (line.count(delimiter) for line in lines)
    return first > 0 and sum(count == first for count in others) > len(others) / 2


def _follows_csv(path: Path, lines: Sequence[str]) -> bool:
    """Whether a .tsv file is to be read by the rules of CSV."""
    names = lines[0].rstrip("\r\n").split("\t") if lines else []
    if names and all(QUOTED.fullmatch(name) for name in names):
        return not _joins_plain_rows(path)
    if _are_rows(_plain_rows(path)):
        return False
    try:
        quoted = _are_rows(_quoted_rows(path, Dialect("\t", quoted=True)))
    except DataError:
        return False
    if quoted:
        LOG.info("%s: cells are in quotes as in CSV; the quotes are taken away", path)
    return quoted


def _joins_plain_rows(path: Path) -> bool:
    """Whether the rows under names in quotes are plain, and the rules of CSV would join some."""
    try:
        quoted = _are_rows(_quoted_rows(path, Dialect("\t", quoted=True)))
        return not quoted and _are_rows(_plain_rows(path)) and not _begins_in_quotes(path)
    except DataError:
        return False


def _begins_in_quotes(path: Path) -> bool:
    """Whether every row by the rules of CSV does, as where a program has quoted all cells."""
    lines = enumerate(read_lines(path), start=1)
    for row in _quoted_rows(path, Dialect("\t", quoted=True), tells=False):
        text = next(text for number, text in lines if number == row.line)
        if not text.startswith('"'):
            return False
    return True


def _are_rows(rows: Iterator[Row]) -> bool:
    """Whether all have the same width, and no cell looks as if it had swallowed some."""
    widths: set[int] = set()
    for row in rows:
        widths.add(len(row.cells))
        if len(widths) > 1 or _looks_like_rows(row.cells, "\t"):
            return False
    return True


def _sample(rows: Iterator[Row]) -> list[Row]:
    sample: list[Row] = []
    characters = 0
    for row in islice(rows, SAMPLE_ROWS):
        sample.append(row)
        characters += sum(map(len, row.cells))
        if characters > SAMPLE_CHARACTERS:
            break
    return sample


def _unquoted(names: Sequence[str]) -> list[str]:
    """Without quotes, where all are in quotes: over plain rows, too, they are no part of names."""
    if not all(QUOTED.fullmatch(name) for name in names):
        return list(names)
    return [name[1:-1].replace('""', '"') for name in names]


def _checked_names(path: Path, row: Row) -> list[str]:
    """Without the white space around them; a column without a name is called by its number."""
    names = [cell.strip() or str(number) for number, cell in enumerate(row.cells, start=1)]
    if len(set(names)) != len(names):
        raise DataError(
            f"{path}, line {row.line}: the header names a column twice: {', '.join(names)}; rename "
            "one (if this row is no header, give --no-header)"
        )
    return names


def _even(path: Path, rows: Iterator[Row], names: Sequence[str]) -> Iterator[Row]:
    for row in rows:
        if len(row.cells) != len(names):
            raise DataError(
                f"{path}, line {row.line}: has {len(row.cells)} columns where the header has "
                f"{len(names)}: {', '.join(names)}; {_advice(path, row)}"
            )
        yield row


def _advice(path: Path, row: Row) -> str:
    if TABLES[suffix_of(path)] == "\t":
        quote = any(cell.startswith('"') for cell in row.cells)
        spanning = ", and quotes do not join lines in .tsv (name the file .csv for that)"
        return "a row is one line, with tabs between its cells" + spanning * quote
    return "quote cells that hold the delimiter"
