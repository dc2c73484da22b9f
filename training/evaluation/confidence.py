"""How sure a share is, given how often something was seen."""

from __future__ import annotations

import math

CERTAINTY = 1.96  # standard errors to each side: 95 %


def interval(right: int, count: int) -> tuple[float, float]:
    """Where the share lies with 95 % certainty, of ``right`` times in ``count`` (Wilson, 1927).

    All is possible where nothing was seen.
    """
    if not count:
        return 0.0, 1.0
    share, square = right / count, CERTAINTY**2 / count
    middle = (share + square / 2) / (1 + square)
    reach = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return middle - reach, middle + reach


def standard_error(share: float, count: int) -> float:
    """Of a share that was measured ``count`` times; more than 0 even where all or none were so, as
    if one more had been and one had not.
    """
    share = (share * count + 1.0) / (count + 2.0)
    return math.sqrt(share * (1.0 - share) / count)
