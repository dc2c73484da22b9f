"""Markdown tables and the text of their cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table. Cells hold Markdown; line breaks and vertical bars in them are escaped."""
    lines = [_row(headings), "|" + " --- |" * len(headings)]
    return "\n".join([*lines, *map(_row, rows)]) + "\n"


def code(value: object) -> str:
    """The value as inline code."""
    return f"`{value}`"


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop; empty text stays empty."""
    text = text.strip()
    if not text:
        return ""
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
