"""Cooperative cancellation of long computations."""

from __future__ import annotations

import threading
import time


class InspectionCancelled(Exception):  # noqa: N818
    """The client is gone or the deadline has passed; the result is not wanted any more."""


class Cancellation:
    """A flag that one thread sets and the computation checks between its parts. Thread-safe."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Makes the next :meth:`check` raise."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises InspectionCancelled once :meth:`cancel` was called.

        Releases the interpreter lock, so that threads that wait for it need not wait for the
        interpreter's switch interval (5 ms).
        """
        time.sleep(0)
        if self._event.is_set():
            raise InspectionCancelled
