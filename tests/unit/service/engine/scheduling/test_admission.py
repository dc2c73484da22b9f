"""Admission control: slots, and the time to retry after."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.api.errors import QueueFull
from service.engine.scheduling.admission import Admission


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_request_gets_all_of_its_places_or_none() -> None:
    """A refused request leaves the count unchanged."""
    admission = Admission(5)
    admission.take(3)
    with pytest.raises(QueueFull):
        admission.take(3)
    admission.take(2)
    assert admission.used == 5
    admission.release(4)
    admission.take(4)
    assert admission.used == 5


def test_retry_after_follows_the_measured_rate() -> None:
    """At two sequences a second, four slots take two seconds."""
    clock = Clock()
    admission = Admission(10, clock)
    admission.take(10)
    for _ in range(20):
        clock.now += 0.5
        admission.release(1)
        admission.take(1)
    with pytest.raises(QueueFull) as refused:
        admission.take(4)
    assert refused.value.retry_after_seconds == pytest.approx(2.0)


def test_only_recent_finishes_count() -> None:
    """The estimate follows a change of the rate."""
    clock = Clock()
    admission = Admission(2, clock)
    admission.take(2)
    for gap in [10.0] * 50 + [0.1] * 300:
        clock.now += gap
        admission.release(1)
        admission.take(1)
    with pytest.raises(QueueFull) as refused:
        admission.take(1)
    assert refused.value.retry_after_seconds == pytest.approx(0.1, rel=0.02)


def test_before_anything_has_finished_the_estimate_is_not_rosy() -> None:
    """After 30 seconds of work without a result, the estimate is not one second."""
    clock = Clock()
    admission = Admission(1, clock)
    admission.take(1)
    clock.now += 30.0
    with pytest.raises(QueueFull) as refused:
        admission.check(2)
    assert refused.value.retry_after_seconds == pytest.approx(60.0)


def test_a_client_leaves_as_many_places_as_it_holds() -> None:
    """A single client has all slots up to the limit; further clients still find some."""
    admission = Admission(8)
    admission.take(8, "greedy")
    with pytest.raises(QueueFull):
        admission.take(1, "greedy")
    admission.take(4, "second")
    with pytest.raises(QueueFull):
        admission.take(1, "second")
    admission.take(2, "third")
    admission.take(1, "fourth")
    assert admission.used == 15
    admission.release(8, "greedy")
    admission.take(2, "second")
    assert admission.used == 9


@given(
    takes=st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 5)), max_size=60),
    limit=st.integers(1, 20),
)
def test_there_is_always_a_place_for_a_new_client(takes: list[tuple[str, int]], limit: int) -> None:
    """All clients together hold less than twice the limit, and a client that holds none gets a
    slot.
    """
    admission = Admission(limit)
    for client, count in takes:
        with contextlib.suppress(QueueFull):
            admission.take(count, client)
    assert admission.used < 2 * limit
    if limit > 6:
        admission.take(1, "new")


def test_the_time_to_come_back_depends_on_whose_sequences_end() -> None:
    """A finished sequence of the client itself frees two slots for it, one of another client
    frees one.
    """
    for ending, seconds in (("greedy", 2.0), ("other", 8.0)):
        clock = Clock()
        admission = Admission(12, clock)
        admission.take(12, "greedy")
        admission.take(4, "other")
        for _ in range(4):
            clock.now += 1.0
            admission.release(1, ending)
        with pytest.raises(QueueFull) as refused:
            admission.take(4, "greedy")
        assert refused.value.retry_after_seconds == pytest.approx(seconds)
