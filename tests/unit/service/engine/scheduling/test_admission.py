"""Admission control: slots, and the time to retry after."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.api.errors import QueueFull
from service.engine.scheduling.admission import RECENT_WAITS, Admission


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


def test_before_sequences_finish_the_time_follows_their_tokens() -> None:
    """Equal sequences that take turns end together: after 3 of 12 seconds of work, 9 are left."""
    clock = Clock()
    admission = Admission(4, clock)
    for _ in range(4):
        admission.take(1, "a", tokens=300)
    clock.now += 3.0
    admission.progress(300)
    with pytest.raises(QueueFull) as refused:
        admission.check(1, "a")
    assert refused.value.retry_after_seconds == pytest.approx(9.0)
    admission.release(1, "a", unused=100)
    admission.take(1, "a", tokens=100)
    with pytest.raises(QueueFull) as refused:
        admission.check(1, "a")
    assert refused.value.retry_after_seconds == pytest.approx(9.0)


def test_a_wait_is_expected_only_of_a_client_with_a_backlog() -> None:
    """The shortest of a client's latest waits counts, as long as it has more sequences than
    rows; other clients are not affected.
    """
    admission = Admission(100, rows=2)
    admission.take(20, "a")
    for wait in [0.0, *range(5, 5 + RECENT_WAITS - 1)]:
        admission.started("a", wait)
    assert admission.shortest_wait("a") == 0.0
    admission.started("a", 9.0)
    assert admission.shortest_wait("a") == 5.0
    assert admission.shortest_wait("b") == 0.0
    admission.release(18, "a")
    admission.take(18, "a")
    assert admission.shortest_wait("a") == 0.0


def test_clients_without_a_backlog_have_no_waits() -> None:
    """Waits of a client whose sequences all have rows say nothing about a queue."""
    admission = Admission(100, rows=2)
    admission.take(2, "a")
    for _ in range(2 * RECENT_WAITS):
        admission.started("a", 1.0)
    assert admission.shortest_wait("a") == 0.0
