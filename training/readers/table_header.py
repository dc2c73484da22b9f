"""Whether the first row of a table names its columns.

Where nobody says so, the row is taken for names unless a cell of it looks like data: a number above
numbers, a text, or a cell that stands in its column again. What is decided is told. Does not know
files.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from training.readers.notices import LOG

LONGEST_NAME = 60  # characters
MOST_WORDS = 3  # of a name


def names_columns(
    place: str, rows: Sequence[Sequence[str]], *, asked: bool | None, known: Collection[str]
) -> bool:
    """Whether the first of ``rows`` is the header.

    Args:
        place: what messages call the first row.
        rows: the first rows of the table, at least one.
        asked: what the person says.
        known: names, in lower case, one of which makes it a header without a word.
    """
    if asked is not None:
        return asked
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
    """What shows that the first row is no row of names, if anything does."""
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
            return f"{cell!r} stands under itself again"
        if len(cell) > LONGEST_NAME or len(cell.split()) > MOST_WORDS or _is_sentence(cell):
            return f"{cell[:LONGEST_NAME]!r} is a text"
    return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_sentence(text: str) -> bool:
    return " " in text and text.endswith((".", "!", "?"))
