"""Statistics of repeated measurements."""

import math

import pytest

from benchmarks.harness.statistics import group_by, median, quantile, ratio


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_a_quantile_is_one_of_the_values(q: float, expected: float) -> None:
    """A quantile of 1 to 100 in any order is one of these values."""
    assert quantile([float(value) for value in range(100, 0, -1)], q) == expected


def test_statistics_of_no_values_are_nan() -> None:
    """A server without a response in time does not end the run with an error."""
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(median([]))
    assert math.isnan(ratio(3.0, 0.0))


def test_ratio_and_median() -> None:
    """The ratio of 6 and 3 is 2; the median of four values is the mean of the middle two."""
    assert ratio(6.0, 3.0) == 2.0
    assert median(iter([4.0, 1.0, 3.0, 2.0])) == 2.5


def test_groups_keep_the_order_of_the_items() -> None:
    """Keys and items are in the order of their first occurrence."""
    groups = group_by(["bb", "a", "cc", "d"], len)
    assert list(groups.items()) == [(2, ["bb", "cc"]), (1, ["a", "d"])]
