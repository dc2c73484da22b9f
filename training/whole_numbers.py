"""Whole numbers in what users write: Python itself refuses those of some thousand digits."""

from __future__ import annotations

MOST_DIGITS = 18  # no count of columns, vectors or widths has more


def whole_number(text: str) -> int | None:
    """The number, if the text is one of decimal digits alone and not longer than any count."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None
