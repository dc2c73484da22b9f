"""Places, and the time to come back."""

from __future__ import annotations

import pytest

from service.engine.admission import Admission
from service.engine.errors import QueueFull


class Clock:
    """Time that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_request_gets_all_of_its_places_or_none() -> None:
    """A request too many leaves the count as it was."""
    admission = Admission(5)
    admission.take(3)
    with pytest.raises(QueueFull):
        admission.take(3)
    admission.take(2)
    assert admission.used == 5
    admission.release(4)
    admission.take(4)
    assert admission.used == 5


def test_the_time_to_come_back_is_what_the_measured_rate_says() -> None:
    """At two sequences a second, four places take two seconds."""
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
    """A slow past is forgotten when the pace has changed."""
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
    """Work that has gone on for 30 seconds is not promised to be over in one."""
    clock = Clock()
    admission = Admission(1, clock)
    admission.take(1)
    clock.now += 30.0
    with pytest.raises(QueueFull) as refused:
        admission.check(2)
    assert refused.value.retry_after_seconds == pytest.approx(60.0)
