"""Signals that end a command: SIGINT (Ctrl-C), SIGTERM, and SIGHUP of a closed terminal.

In the training loop a signal is a request that is granted between two steps (``Interruption``).
Elsewhere it raises ``Interrupted``, so that a half-written file is removed. A second signal ends
the loop at once. A signal that was ignored when the command began (`nohup`) stays ignored.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal has ended the command; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """A block in which the signals raise ``Interrupted``."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        for number in _not_ignored():
            signal.signal(number, _interrupt)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Interruption:
    """A ``with`` block in which a signal only sets ``signal`` to its number.

    The first signal puts the earlier handlers back, so that a second one acts at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._handlers: dict[int, object] = {}

    def _record(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = number
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # it came from signal.signal

    def __enter__(self) -> Self:
        self._handlers = {number: signal.signal(number, self._record) for number in _not_ignored()}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore_handlers()


def _interrupt(number: int, frame: FrameType | None) -> None:
    del frame
    raise Interrupted(number)


def _not_ignored() -> list[int]:
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
