"""Ends a process that hangs, so that its supervisor restarts it.

A thread checks twice a second that the step loop and the event loop have moved. It counts its own
checks and does not compare times, so a process that was suspended (a paused container, a migrated
machine) is not taken for a hanging one.

A hanging step loop cannot answer its requests: they get an error from the event loop, and then the
process ends with status 1. A hanging event loop cannot answer anything, and the process ends at
once. Both print the stack of every thread. The watchdog needs the interpreter's lock; a probe of
/health/live from outside also sees a hang that keeps it.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)
CHECK_SECONDS = 0.5
LAST_ANSWER_SECONDS = 1.0
"""Time in which clients receive their errors."""
EXIT_HUNG = 1


class Watchdog:
    """Watches until it is stopped.

    Args:
        seconds: time without a move after which the process ends.
        last_turn: the time of the last turn of the step loop, in any unit.
        give_up: answers all requests with an error. The watchdog's thread calls it.
        end: ends the process with a status.
    """

    def __init__(
        self,
        seconds: float,
        *,
        last_turn: Callable[[], float],
        give_up: Callable[[], None],
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._most_checks = max(1, round(seconds / CHECK_SECONDS))
        self._last_turn = last_turn
        self._give_up = give_up
        self._end = end
        self._beats = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start watching. The event loop must call :meth:`beat` from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, before the loops end."""
        self._stopped.set()

    def beat(self) -> None:
        """The event loop has moved."""
        self._beats += 1

    def _watch(self) -> None:
        moved: dict[str, Callable[[], float]] = {
            "step loop": self._last_turn,
            "event loop": lambda: self._beats,
        }
        seen = {name: position() for name, position in moved.items()}
        missed = dict.fromkeys(moved, 0)
        while not self._stopped.wait(CHECK_SECONDS):
            for name, position in moved.items():
                missed[name] = missed[name] + 1 if position() == seen[name] else 0
                seen[name] = position()
            hanging = [name for name, count in missed.items() if count >= self._most_checks]
            if hanging:
                self._end_process(hanging[-1])
                return

    def _end_process(self, name: str) -> None:
        seconds = self._most_checks * CHECK_SECONDS
        logger.critical("the %s has not moved for %g seconds: the process ends", name, seconds)
        try:
            faulthandler.dump_traceback()
        except (OSError, RuntimeError, ValueError) as error:  # no standard error
            logger.error("the stacks cannot be printed: %s", error)
        if name == "step loop":
            self._give_up()
            time.sleep(LAST_ANSWER_SECONDS)
        self._end(EXIT_HUNG)
