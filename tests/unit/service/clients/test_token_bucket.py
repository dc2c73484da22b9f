"""Token buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.clients.token_bucket import TokenBucket

RATES = st.floats(0.01, 1e6)
COSTS = st.floats(0.01, 1e6)


def test_a_burst_of_one_second_is_accepted() -> None:
    """A new bucket of 5 a second accepts 5, then one every 0.2 seconds."""
    bucket = TokenBucket(5.0, now=0.0)
    for _ in range(5):
        assert bucket.seconds_until(1, 0.0) == 0
        bucket.take(1, 0.0)
    assert bucket.seconds_until(1, 0.0) == pytest.approx(0.2)
    assert bucket.seconds_until(1, 0.2) == pytest.approx(0.0)


def test_a_low_rate_accepts_one() -> None:
    """One request in ten seconds is one request at once, and the next after ten seconds."""
    bucket = TokenBucket(0.1, now=0.0)
    assert bucket.seconds_until(1, 0.0) == 0
    bucket.take(1, 0.0)
    assert bucket.seconds_until(1, 4.0) == pytest.approx(6.0)


def test_a_cost_above_a_second_is_accepted_and_owed() -> None:
    """A cost of 50 at 10 a second is accepted by a full bucket, and 5 seconds later another one."""
    bucket = TokenBucket(10.0, now=0.0)
    assert bucket.seconds_until(50, 0.0) == 0
    bucket.take(50, 0.0)
    assert bucket.seconds_until(50, 0.0) == pytest.approx(5.0)
    assert bucket.seconds_until(1, 0.0) == pytest.approx(4.1)


@given(rate=RATES, costs=st.lists(COSTS, min_size=1, max_size=20), pause=st.floats(0, 100))
def test_the_time_to_wait_is_exact(rate: float, costs: list[float], pause: float) -> None:
    """After the returned time the cost is accepted, and half of it is not enough."""
    bucket = TokenBucket(rate, now=0.0)
    now = 0.0
    for cost in costs:
        seconds = bucket.seconds_until(cost, now)
        slack = 1e-9 * max(1.0, now + seconds, cost / rate)
        if seconds > 4 * slack:
            assert bucket.seconds_until(cost, now + seconds / 2) > 0
        now += seconds
        assert bucket.seconds_until(cost, now) <= slack
        bucket.take(cost, now)
        now += pause


@given(rate=RATES, costs=st.lists(COSTS, min_size=1, max_size=30))
def test_the_mean_rate_holds(rate: float, costs: list[float]) -> None:
    """Costs taken as early as possible exceed the rate by one second, or one unit, and the last
    cost.
    """
    bucket = TokenBucket(rate, now=0.0)
    now = 0.0
    for cost in costs:
        now += bucket.seconds_until(cost, now)
        bucket.take(cost, now)
    before_last = sum(costs[:-1])
    assert before_last <= (rate * now + max(rate, 1.0)) * (1 + 1e-6)


@given(rate=RATES, cost=COSTS)
def test_a_refund_restores_the_bucket(rate: float, cost: float) -> None:
    """What is taken and returned at once leaves a full bucket; a refund never fills it above."""
    bucket = TokenBucket(rate, now=0.0)
    bucket.take(cost, 0.0)
    bucket.take(-cost, 0.0)
    assert bucket.seconds_until(rate, 0.0) <= 1e-6 * max(1.0, cost / rate)
    bucket.take(-10 * cost, 0.0)
    bucket.take(max(rate, 1.0), 0.0)
    assert not bucket.is_full(0.0)
