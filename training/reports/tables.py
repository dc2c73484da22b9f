"""Tables as lines of text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from training.reports.html import ReportTable


def aligned_lines(table: ReportTable) -> list[str]:
    """Indented lines; columns of numbers are aligned on the right, others on the left.

    The first column is aligned on the left.

    >>> aligned_lines(ReportTable(("name", "n"), [("a", "1"), ("bc", "10")]))
    ['  name   n', '  a      1', '  bc    10']
    """
    rows = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [index > 0 and column.numeric for index, column in enumerate(table.columns)]
    return [f"  {_line(row, widths, right)}".rstrip() for row in rows]


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = zip(row, widths, right, strict=True)
    return "  ".join(
        f"{cell:>{width}}" if on_right else f"{cell:<{width}}" for cell, width, on_right in cells
    )
