"""Signals that end a command: SIGINT (Ctrl-C), SIGTERM, and SIGHUP of a closed terminal.

In the training loop a signal is a request that is granted between two steps. Elsewhere it raises
``Interrupted``, so that a half-written file is removed. A second signal ends the loop at once. A
signal that was ignored when the command began (`nohup`) stays ignored.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal has ended the command; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@dataclass(slots=True)
class Interruption:
    """The number of the signal that has arrived; None before one has."""

    signal: int | None = None


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """A block in which the signals raise ``Interrupted``."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise Interrupted(number)

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in _not_ignored():
            signal.signal(number, interrupt)
        yield
    finally:
        _restore(handlers)


@contextmanager
def signals_recorded() -> Iterator[Interruption]:
    """A block in which a signal is only recorded.

    The first signal restores the earlier handlers, so that a second one acts at once.
    """
    interruption = Interruption()
    handlers = {number: signal.getsignal(number) for number in _not_ignored()}

    def record(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        interruption.signal = number
        _restore(handlers)

    try:
        for number in handlers:
            signal.signal(number, record)
        yield interruption
    finally:
        _restore(handlers)


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _not_ignored() -> list[signal.Signals]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
