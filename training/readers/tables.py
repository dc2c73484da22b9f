"""Tables (.csv, .tsv): rows of cells with their lines, and the names of the columns.

CSV follows RFC 4180: a quoted cell may hold the delimiter, line ends, and doubled quotes. The
delimiter is a comma unless the first rows show another one (semicolon, tab, vertical bar).

TSV is plain: a row is a line, tabs separate its cells, and a quote is an ordinary character. A .tsv
file is read by the rules of CSV in two cases: all column names are quoted; or the lines do not all
have as many cells as the first, but the rows by the rules of CSV do, and no cell looks like several
rows. Quoted column names do not count if the lines are rows as they are, a row begins without a
quote, and by the rules of CSV a cell would look like several rows.
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
from training.readers.files import MAX_LINE_LENGTH, read_lines, suffix_of
from training.readers.notices import LOG
from training.readers.table_header import names_columns

DEFAULT_DELIMITERS = {".csv": ",", ".tsv": "\t"}
DELIMITER_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
SEPARATOR_LINE = re.compile(r"sep=([^\w\s\"]|\t)\r?\n")  # written by spreadsheets
SAMPLE_LINES = 200  # by which the delimiter is detected
SAMPLE_ROWS = 1_000  # by which a header is detected
SAMPLE_CHARACTERS = 2**22  # after which the sample ends
QUOTED_CELL = re.compile(r'"(?:[^"]|"")*"')


class TableRow(NamedTuple):
    """The number of its first line, from 1, and its cells."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """The format of a file. ``skipped``: the number of lines before the first row."""

    delimiter: str
    quoted: bool
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class DelimitedFile:
    """Column names ("1", "2", ... without a header), the line they are in, and the rows."""

    names: list[str]
    line: int
    rows: Iterator[TableRow]


def read_table(path: Path, *, header: bool | None, known: Collection[str]) -> DelimitedFile | None:
    """The content of a table; None if it has no row.

    Args:
        path: a .csv or .tsv file; another one is read as .tsv.
        header: whether the first row names the columns; None to detect it.
        known: column names in lower case, by which a header is recognized.

    Raises:
        DataError: the file cannot be read or is malformed, or a row is longer or shorter than the
            first.
    """
    dialect = detect_dialect(path)
    rows = read_rows(path, dialect)
    sample = _sample(rows)
    if not sample:
        return None
    rows = chain(sample, rows)
    first = sample[0]
    if not dialect.quoted:
        first = TableRow(first.line, _unquoted(first.cells))
    place = f"{path}, line {first.line}"
    cells = [first.cells, *(row.cells for row in sample[1:])]
    if names_columns(place, cells, given=header, known=known):
        next(rows)
        names = _checked_names(path, first)
    else:
        names = [str(number) for number in range(1, len(first.cells) + 1)]
    return DelimitedFile(names, first.line, _even(path, rows, names))


def detect_dialect(path: Path) -> Dialect:
    """The format of a file, by its first lines."""
    usual = DEFAULT_DELIMITERS.get(suffix_of(path), "\t")
    lines = list(islice(read_lines(path), SAMPLE_LINES + 1))
    whole = len(lines) <= SAMPLE_LINES
    separator = SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if separator is not None:
        return Dialect(separator[1], quoted=True, skipped=1)
    delimiter = _delimiter(lines, usual, whole=whole)
    if delimiter != usual:
        LOG.info("%s: cells are separated by %s", path, DELIMITER_NAMES[delimiter])
    plain = delimiter == usual == "\t" and not _follows_csv(path, lines)
    return Dialect(delimiter, quoted=not plain)


def read_rows(path: Path, dialect: Dialect) -> Iterator[TableRow]:
    """The rows of a file without blank lines, in order.

    Raises:
        DataError: the file cannot be read, or is malformed.
    """
    return _quoted_rows(path, dialect) if dialect.quoted else _plain_rows(path)


def _plain_rows(path: Path) -> Iterator[TableRow]:
    escaped = 0
    for number, text in enumerate(read_lines(path), start=1):
        line = text.removesuffix("\n").removesuffix("\r")
        if not line:
            continue
        cells = line.split("\t")
        if '""' in line:
            escaped += any('""' in cell and QUOTED_CELL.fullmatch(cell) for cell in cells)
        yield TableRow(number, cells)
    if escaped:
        LOG.info(
            "%s: rows with cells in quotes as CSV writes them: %d. A .tsv file is read as it is; "
            "name the file .csv to remove the quotes",
            path,
            escaped,
        )


def _quoted_rows(path: Path, dialect: Dialect, *, warns: bool = True) -> Iterator[TableRow]:
    """The rows by the rules of CSV. ``warns``: whether to warn of cells that look like rows."""
    csv.field_size_limit(MAX_LINE_LENGTH)
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
            yield TableRow(line, cells)
        if _looks_like_rows(cells, dialect.delimiter):
            suspect.append(line)
        line = 1 + dialect.skipped + reader.line_num
    if suspect and warns:
        LOG.warning(
            "%s, line %d: a cell in quotes spans lines that look like rows of their own (%d such "
            "cells); if its quotes are not meant so, write them twice inside quotes",
            path,
            suspect[0],
            len(suspect),
        )


def _looks_like_rows(cells: Sequence[str], delimiter: str) -> bool:
    """Whether a cell has a line end and as many delimiters as the row."""
    return len(cells) > 1 and any(
        "\n" in cell and cell.count(delimiter) >= len(cells) - 1 for cell in cells
    )


def _malformed(path: Path, dialect: Dialect, row: int, line: int, error: csv.Error) -> DataError:
    """The error, with the line of the quote that is not closed or is closed in a wrong place."""
    opening = _opening_line(path, dialect.delimiter, row)
    if opening is not None and "unexpected end" in str(error):
        return DataError(
            f"{path}, line {opening}: malformed row: a quote opens here and is never closed; close "
            'it, or write a cell that holds quotes in quotes, with its own doubled ("")'
        )
    if "new-line character" in str(error):
        return DataError(
            f"{path}, line {line}: malformed row: a cell has a carriage return; put the "
            "cell in quotes, or remove it"
        )
    where = "" if opening in (None, line) else f", in a cell whose quote opens in line {opening}"
    return DataError(
        f"{path}, line {line}: malformed row ({error}){where}; a cell that holds quotes must be "
        'quoted, with its quotes doubled ("")'
    )


def _opening_line(path: Path, delimiter: str, row: int) -> int | None:
    """The line of the last opening quote from line ``row`` on, up to the first fault."""
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
    """The ``usual`` delimiter, unless another gives two or more rows of the same width.

    If none does, since a row is malformed, and the first line has no usual delimiter: the one that
    most lines have as often as the first.
    """

    def is_even(delimiter: str) -> bool:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            return False
        widths = {len(row) for row in (rows if whole else rows[:-1])}
        return len(rows) > 1 and len(widths) == 1 and min(widths) > 1

    candidates = [usual, *(other for other in DELIMITER_NAMES if other != usual)]
    csv.field_size_limit(MAX_LINE_LENGTH)
    even = next((delimiter for delimiter in candidates if is_even(delimiter)), None)
    if even is not None or not lines or usual in lines[0]:
        return even or usual
    return next((other for other in candidates if _most_have(lines, other)), usual)


def _most_have(lines: Sequence[str], delimiter: str) -> bool:
    first, *others = (line.count(delimiter) for line in lines)
    return first > 0 and sum(count == first for count in others) > len(others) / 2


def _follows_csv(path: Path, lines: Sequence[str]) -> bool:
    """Whether a .tsv file is read by the rules of CSV."""
    names = lines[0].rstrip("\r\n").split("\t") if lines else []
    if names and all(QUOTED_CELL.fullmatch(name) for name in names):
        return not _joins_plain_rows(path)
    if _are_rows(_plain_rows(path)):
        return False
    try:
        quoted = _are_rows(_quoted_rows(path, Dialect("\t", quoted=True)))
    except DataError:
        return False
    if quoted:
        LOG.info("%s: cells are in quotes as in CSV; the quotes are removed", path)
    return quoted


def _joins_plain_rows(path: Path) -> bool:
    """Whether the rows under quoted names are plain, and the rules of CSV would join some."""
    try:
        quoted = _are_rows(_quoted_rows(path, Dialect("\t", quoted=True)))
        return not quoted and _are_rows(_plain_rows(path)) and not _begins_in_quotes(path)
    except DataError:
        return False


def _begins_in_quotes(path: Path) -> bool:
    """Whether every row by the rules of CSV begins in quotes, as if all cells were quoted."""
    lines = enumerate(read_lines(path), start=1)
    for row in _quoted_rows(path, Dialect("\t", quoted=True), warns=False):
        text = next(text for number, text in lines if number == row.line)
        if not text.startswith('"'):
            return False
    return True


def _are_rows(rows: Iterator[TableRow]) -> bool:
    """Whether all rows have the same width, and no cell looks like several rows."""
    widths: set[int] = set()
    for row in rows:
        widths.add(len(row.cells))
        if len(widths) > 1 or _looks_like_rows(row.cells, "\t"):
            return False
    return True


def _sample(rows: Iterator[TableRow]) -> list[TableRow]:
    sample: list[TableRow] = []
    characters = 0
    for row in islice(rows, SAMPLE_ROWS):
        sample.append(row)
        characters += sum(map(len, row.cells))
        if characters > SAMPLE_CHARACTERS:
            break
    return sample


def _unquoted(names: Sequence[str]) -> list[str]:
    """The names, without quotes if all have quotes, also over plain rows."""
    if not all(QUOTED_CELL.fullmatch(name) for name in names):
        return list(names)
    return [name[1:-1].replace('""', '"') for name in names]


def _checked_names(path: Path, row: TableRow) -> list[str]:
    """The names without surrounding white space; an empty one becomes the column's number."""
    names = [cell.strip() or str(number) for number, cell in enumerate(row.cells, start=1)]
    if len(set(names)) != len(names):
        raise DataError(
            f"{path}, line {row.line}: the header names a column twice: {', '.join(names)}; rename "
            "one (if this row is no header, give --no-header)"
        )
    return names


def _even(path: Path, rows: Iterator[TableRow], names: Sequence[str]) -> Iterator[TableRow]:
    for row in rows:
        if len(row.cells) != len(names):
            raise DataError(
                f"{path}, line {row.line}: has {len(row.cells)} columns where the header has "
                f"{len(names)}: {', '.join(names)}; {_advice(path, row)}"
            )
        yield row


def _advice(path: Path, row: TableRow) -> str:
    if DEFAULT_DELIMITERS.get(suffix_of(path), "\t") == "\t":
        quote = any(cell.startswith('"') for cell in row.cells)
        spanning = ", and quotes do not join lines in .tsv (name the file .csv for that)"
        return "a row is one line, with tabs between its cells" + spanning * quote
    return "quote cells that hold the delimiter"
