"""Uncertainty of a measured proportion: the Wilson interval and a standard error.

SciPy has the same interval (``binomtest(...).proportion_ci(method="wilson")``), and a test compares
the two. The formula stays here, because ``scipy.stats`` takes 1 s to import and 140 MB of disk.
"""

from __future__ import annotations

import math

Z_95 = 1.96  # standard errors on each side of the mean in a 95 % interval


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a proportion (Wilson, 1927).

    Args:
        successes: between 0 and ``count``.
        count: number of observations; without any, the interval is (0, 1).

    Returns:
        Lower and upper bound, both between 0 and 1.

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 2), round(high, 2)
    (0.49, 0.94)
    """
    if not count:
        return 0.0, 1.0
    share, square = successes / count, Z_95**2 / count
    center = (share + square / 2) / (1 + square)
    half_width = math.sqrt(share * (1 - share) * square + square**2 / 4) / (1 + square)
    return center - half_width, center + half_width


def standard_error(share: float, count: int) -> float:
    """The standard error of a proportion measured on ``count`` observations.

    One success and one failure are added, so that the error is positive for shares of 0 and 1.
    """
    share = (share * count + 1.0) / (count + 2.0)
    return math.sqrt(share * (1.0 - share) / count)
