"""The watchdog."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest

from service import watchdog
from service.watchdog import EXIT_HUNG, Watchdog

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(watchdog, "LAST_ANSWER_SECONDS", 0.0)
    monkeypatch.setattr("faulthandler.dump_traceback", lambda: None)


class Ending:
    """Records what the watchdog does."""

    def __init__(self, last_turn: Callable[[], float]) -> None:
        self.calls: list[str] = []
        self.ended = threading.Event()
        self.dog = Watchdog(
            0.05,
            last_turn=last_turn,
            give_up=lambda: self.calls.append("give up"),
            end=self._end,
        )

    def _end(self, status: int) -> None:
        self.calls.append(f"end {status}")
        self.ended.set()


def test_a_step_loop_that_hangs_ends_the_process() -> None:
    """Requests get their error first."""
    ending = Ending(lambda: 7.0)
    ending.dog.start()
    while not ending.ended.wait(0.001):
        ending.dog.beat()
    assert ending.calls == ["give up", f"end {EXIT_HUNG}"]


def test_an_event_loop_that_hangs_ends_the_process() -> None:
    """Nobody could deliver an error, so there is none."""
    turns = itertools.count()
    ending = Ending(lambda: float(next(turns)))
    ending.dog.start()
    assert ending.ended.wait(PATIENCE)
    assert ending.calls == [f"end {EXIT_HUNG}"]


def test_nothing_happens_while_both_move_or_after_the_stop() -> None:
    """Moving loops are left alone, and so are loops that end after the watchdog has stopped."""
    turns = itertools.count()
    ending = Ending(lambda: float(next(turns)))
    ending.dog.start()
    for _ in range(200):
        ending.dog.beat()
        assert not ending.ended.wait(0.001)
    ending.dog.stop()
    assert not ending.ended.wait(0.3)
    assert ending.calls == []
