"""The limit of requests of a client at a time, with a clock of the test."""

from __future__ import annotations

import contextlib
import threading

import pytest

from service.clients.concurrency import ConcurrencyLimits
from service.clients.key_file import ClientLimits
from service.engine.api.errors import ConcurrencyLimited


class Clock:
    """A time in seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def refused_for(limits: ConcurrencyLimits, client: str = "a") -> float:
    """The time to retry after that the client is told; it must be refused."""
    with pytest.raises(ConcurrencyLimited) as refused, limits.place(client):
        pass
    return refused.value.retry_after_seconds


def test_a_client_without_a_free_place_is_refused_and_no_other() -> None:
    """A place is free again when its request has ended, also with an error."""
    limits = ConcurrencyLimits(lambda _: ClientLimits(concurrent_requests=2))
    with limits.place("a"):
        with contextlib.suppress(ValueError), limits.place("a"):
            refused_for(limits)
            with limits.place("b"):
                pass
            raise ValueError
        with limits.place("a"):
            pass
    assert limits._open == {}


def test_the_limit_may_change() -> None:
    """A new limit holds for the next request; requests that were not counted end normally."""
    own = {"a": ClientLimits()}
    limits = ConcurrencyLimits(lambda client: own[client])
    with limits.place("a"):
        own["a"] = ClientLimits(concurrent_requests=1)
        with limits.place("a"):
            refused_for(limits)
    with limits.place("a"):
        pass


def test_the_time_to_retry_after_follows_the_requests_of_the_client() -> None:
    """It is the rest of the usual length of the oldest open request. Before any has ended, it is
    as long as that one has taken so far.
    """
    clock = Clock()
    limits = ConcurrencyLimits(lambda _: ClientLimits(concurrent_requests=2), clock)
    with limits.place("a"):
        with limits.place("a"):
            clock.now += 6
            assert refused_for(limits) == 6
        with limits.place("a"):
            clock.now += 1
            assert refused_for(limits) == 6  # the oldest has taken longer than usual
    with limits.place("b"), limits.place("b"):
        assert refused_for(limits, "b") == 0


def test_threads_share_the_places() -> None:
    """Threads that take and return places never hold more than the limit."""
    limits = ConcurrencyLimits(lambda _: ClientLimits(concurrent_requests=3))
    held, most, lock = 0, 0, threading.Lock()

    def ask() -> None:
        nonlocal held, most
        for _ in range(300):
            with contextlib.suppress(ConcurrencyLimited), limits.place("a"):
                with lock:
                    held += 1
                    most = max(most, held)
                with lock:
                    held -= 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 3
    assert limits._open == {}
