"""Detection of a header: whether the first row of a table names its columns.

Without an option, the first row is a header unless one of its cells looks like data: a number above
numbers, a text, or a value that occurs in its column again. The decision is given as a notice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from training.readers.notices import LOG

MAX_NAME_LENGTH = 60  # characters of a column name
MAX_NAME_WORDS = 3  # of a column name


def names_columns(
    place: str, rows: Sequence[Sequence[str]], *, given: bool | None, known: Collection[str]
) -> bool:
    """Whether the first of ``rows`` is a header.

    Args:
        place: the position of the first row, for notices.
        rows: the first rows of the table, at least one.
        given: the option; None to detect a header.
        known: column names in lower case; a row with one of them is a header, without a notice.
    """
    if given is not None:
        return given
    first = [cell.strip() for cell in rows[0]]
    if any(cell.lower() in known for cell in first):
        return True
    sign = _sign_of_data(first, rows[1:])
    if sign is None:
        LOG.info("%s: taken for the names of the columns: %s (--no-header: a row)", place, first)
        return True
    LOG.info(
        "%s: there are no names of columns: %s, so this is the first row of data, and columns have "
        "numbers (--header: it names them)",
        place,
        sign,
    )
    return False


def _sign_of_data(first: Sequence[str], others: Sequence[Sequence[str]]) -> str | None:
    """The evidence that the first row is data; None if there is none."""
    columns = [
        {row[index].strip() for row in others if index < len(row)} for index in range(len(first))
    ]
    numbers = [bool(column) and all(map(_is_number, column)) for column in columns]
    if any(n and not _is_number(cell) for n, cell in zip(numbers, first, strict=True)):
        return None
    for cell, column, is_numeric in zip(first, columns, numbers, strict=True):
        if is_numeric and _is_number(cell):
            return f"{cell!r} is a number, as are the cells under it"
        if cell and cell in column:
            return f"{cell!r} occurs in its column again"
        if len(cell) > MAX_NAME_LENGTH or len(cell.split()) > MAX_NAME_WORDS or _is_sentence(cell):
            return f"{cell[:MAX_NAME_LENGTH]!r} is a text"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_sentence(text: str) -> bool:
    return " " in text and text.endswith((".", "!", "?"))
