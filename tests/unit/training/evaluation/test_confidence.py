"""Confidence intervals and standard errors of proportions."""

import pytest
from scipy.stats import binomtest, norm

from training.evaluation.confidence import Z_95, standard_error, wilson_interval


@pytest.mark.parametrize(("successes", "count"), [(0, 1), (3, 7), (10, 10), (421, 1000)])
def test_the_interval_is_that_of_scipy(successes: int, count: int) -> None:
    """The result is the Wilson interval at 1.96 standard errors."""
    level = 1 - 2 * norm.sf(Z_95)
    expected = binomtest(successes, count).proportion_ci(level, method="wilson")
    low, high = wilson_interval(successes, count)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert low <= successes / count <= high + 1e-12


def test_without_observations_the_interval_is_everything() -> None:
    """Nothing is known."""
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_the_standard_error_is_never_zero() -> None:
    """Shares of 0 and 1 are as uncertain as each other; more observations are less so."""
    assert standard_error(1.0, 50) == pytest.approx(standard_error(0.0, 50))
    assert 0.0 < standard_error(1.0, 500) < standard_error(1.0, 50)
    assert standard_error(0.5, 10_000) == pytest.approx(0.005)
