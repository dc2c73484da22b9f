"""Rate limits of clients."""

from __future__ import annotations

import pytest

from service.clients import rate_limits
from service.clients.key_file import ClientLimits
from service.clients.rate_limits import RateLimits
from service.engine.api.errors import RateLimited


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock, requests: float | None = None, tokens: float | None = None) -> RateLimits:
    """Equal limits for all clients."""
    return RateLimits(lambda _: ClientLimits(requests, tokens), clock)


def test_without_limits_everything_is_accepted() -> None:
    """No limit, no charge."""
    unlimited = limits(Clock())
    for _ in range(1000):
        unlimited.count_request("a")
    assert unlimited.charge("a", 10**9, 10**9) is None


def test_clients_have_buckets_of_their_own() -> None:
    """One client that has used its rate does not limit another one."""
    clock = Clock()
    limited = limits(clock, requests=2)
    for _ in range(2):
        limited.count_request("a")
    with pytest.raises(RateLimited) as refused:
        limited.count_request("a")
    assert refused.value.retry_after_seconds == pytest.approx(0.5)
    limited.count_request("b")
    clock.now += 0.5
    limited.count_request("a")


def test_unused_tokens_are_returned() -> None:
    """A request is charged its largest size and in the end what it has used."""
    clock = Clock()
    limited = limits(clock, tokens=100)
    charge = limited.charge("a", read=20, generated=80)
    assert charge is not None
    with pytest.raises(RateLimited) as refused:
        limited.charge("a", read=0, generated=10)
    assert refused.value.retry_after_seconds == pytest.approx(0.1)
    charge.settle(30)
    assert limited.charge("a", read=0, generated=50) is not None


def test_a_refused_request_is_charged_nothing() -> None:
    """What was charged before the queue refused the request is returned."""
    limited = limits(Clock(), tokens=100)
    charge = limited.charge("a", read=60, generated=40)
    assert charge is not None
    charge.settle(None)
    assert limited.charge("a", read=60, generated=40) is not None


def test_a_changed_limit_holds_at_once() -> None:
    """A client whose limit changes has a new bucket."""
    rates = {"a": ClientLimits(requests_per_second=1.0)}
    limited = RateLimits(rates.__getitem__, Clock())
    limited.count_request("a")
    rates["a"] = ClientLimits(requests_per_second=100.0)
    for _ in range(100):
        limited.count_request("a")


def test_buckets_of_strangers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle buckets are dropped, and others beyond a number, oldest first."""
    monkeypatch.setattr(rate_limits, "MOST_BUCKETS", 10)
    clock = Clock()
    limited = limits(clock, requests=0.001)
    for number in range(100):
        limited.count_request(f"10.0.0.{number}")
    assert len(limited._requests) == 10
    with pytest.raises(RateLimited):
        limited.count_request("10.0.0.99")
    clock.now += 10_000
    for number in range(100, 200):
        limited.count_request(f"10.0.0.{number}")
        clock.now += 10_000
    assert len(limited._requests) < 3
