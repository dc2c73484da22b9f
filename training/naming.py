"""How a message names many things, and the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

MOST = 10


def listed(names: Sequence[str], most: int = MOST) -> str:
    """The names with commas between; of many the first ones, and how many more there are."""
    told = ", ".join(names[:most])
    return told if len(names) <= most else f"{told} and {len(names) - most:,} more"


def nearest(name: str, known: Sequence[str]) -> str:
    """A question for the known name that is spelled most like it; nothing where none is."""
    folded = {other.casefold(): other for other in reversed(known)}
    found = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" (did you mean {folded[found[0]]!r}?)" if found else ""
