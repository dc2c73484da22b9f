"""The few statistics that every table is made with."""

import math

import pytest

from benchmarks.harness.statistics import grouped, median, quantile, ratio


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_a_quantile_is_one_of_the_values(share: float, expected: float) -> None:
    """Of 1 to 100, in any order, the value at that share of the way."""
    assert quantile([float(value) for value in range(100, 0, -1)], share) == expected


def test_nothing_gives_nan_and_never_an_error() -> None:
    """A server that answered nothing in time must not end the run."""
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(median([]))
    assert math.isnan(ratio(3.0, 0.0))


def test_ratio_and_median_are_plain() -> None:
    """Six is twice three; of four values the middle lies between two."""
    assert ratio(6.0, 3.0) == 2.0
    assert median(iter([4.0, 1.0, 3.0, 2.0])) == 2.5


def test_groups_keep_the_order_of_the_run() -> None:
    """Keys in the order in which they first came, items too."""
    groups = grouped(["bb", "a", "cc", "d"], len)
    assert list(groups.items()) == [(2, ["bb", "cc"]), (1, ["a", "d"])]
