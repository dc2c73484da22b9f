"""The watchdog's decisions, with an engine and an event loop that only pretend."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from typing import cast

import pytest

from service import watchdog
from service.backend.async_engine import AsyncEngine
from service.engine.api.errors import EngineError, EngineStalled
from service.watchdog import EXIT_STALLED, Watchdog
from tests.support.service.process import PATIENCE


class PretendedEngine:
    """An engine whose heartbeat has an age that the test sets."""

    def __init__(self) -> None:
        self.age = 0.0
        self.failures: list[EngineError] = []

    def heartbeat_age(self) -> float:
        """Seconds."""
        return self.age

    def fail(self, error: EngineError) -> None:
        """Record the error."""
        self.failures.append(error)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread."""
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


def start(
    loop: asyncio.AbstractEventLoop, engine: PretendedEngine, seconds: float
) -> tuple[Watchdog, queue.Queue[int]]:
    """A running watchdog, and the statuses with which it ends the process."""
    ends: queue.Queue[int] = queue.Queue()
    guard = Watchdog(cast("AsyncEngine", engine), loop, seconds, ends.put)
    guard.start()
    return guard, ends


def test_an_old_heartbeat_fails_requests_and_then_ends_the_process(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients get the error before the process ends with its own status."""
    monkeypatch.setattr(watchdog, "FAREWELL_SECONDS", 0.2)
    engine = PretendedEngine()
    _, ends = start(loop, engine, 60.0)
    monkeypatch.setattr(watchdog, "_LONGEST_INTERVAL", 0.01)
    engine.age = 61.0
    assert ends.get(timeout=PATIENCE) == EXIT_STALLED
    assert isinstance(engine.failures[0], EngineStalled)


def test_a_healthy_process_is_left_alone(loop: asyncio.AbstractEventLoop) -> None:
    """Nothing ends while engine and event loop move; a shutdown ends the watching."""
    guard, ends = start(loop, PretendedEngine(), 30.0)
    time.sleep(0.2)
    assert ends.empty()
    guard.expect_end()
    assert ends.empty()


def test_a_shutdown_that_hangs_ends_the_process(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends with status 0 some seconds after it should have."""
    monkeypatch.setattr(watchdog, "SHUTDOWN_SECONDS", 0.05)
    guard, ends = start(loop, PretendedEngine(), 30.0)
    guard.expect_end()
    assert ends.get(timeout=PATIENCE) == 0
