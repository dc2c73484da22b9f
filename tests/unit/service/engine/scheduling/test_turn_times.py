"""Estimates of durations from measured ones."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.scheduling.turn_times import TurnTimes

SIZES = st.integers(1, 1 << 20)
SECONDS = st.floats(1e-6, 1.0)


@given(SIZES)
def test_nothing_measured_is_infinite(size: int) -> None:
    """Without a measurement no work counts as short."""
    assert math.isinf(TurnTimes().estimate(size))


@given(st.lists(st.tuples(SIZES, SECONDS), min_size=1), SIZES)
def test_an_estimate_is_between_the_measurements_scaled_to_the_size(
    measured: list[tuple[int, float]], size: int
) -> None:
    """An estimate is finite, not below the shortest measurement, and not above the longest one in
    proportion to the size.
    """
    times = TurnTimes()
    for measured_size, seconds in measured:
        times.record(measured_size, seconds)
    shortest = min(seconds for _, seconds in measured)
    longest = max(seconds for _, seconds in measured)
    assert shortest * 0.999 <= times.estimate(size) <= longest * max(1, 2 * size) * 1.001


def test_larger_work_takes_longer_in_proportion() -> None:
    """Work of four times the measured size is expected to take four times as long; smaller work
    takes as long as the smallest that was measured.
    """
    times = TurnTimes()
    times.record(4, 0.001)
    assert times.estimate(16) == pytest.approx(0.004)
    assert times.estimate(1) == pytest.approx(0.001)


def test_one_slow_measurement_has_little_weight() -> None:
    """A measurement of a hundred times the usual time raises the estimate less than tenfold, and
    one usual measurement halves the rise.
    """
    times = TurnTimes()
    times.record(1, 0.001)
    times.record(1, 0.1)
    raised = times.estimate(1)
    assert raised < 0.01
    times.record(1, 0.001)
    assert times.estimate(1) - 0.001 < 0.51 * (raised - 0.001)
