"""Ends the process when it no longer works, so that it is restarted.

A thread looks at the heartbeat of the step loop and at the event loop. If one of them has not moved
for ``heartbeat_seconds``, all requests get an error, the stacks of all threads are printed, and the
process ends with EXIT_STALLED. It also ends a process whose shutdown hangs.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import threading
import time
from collections.abc import Callable

from service.backend.async_engine import AsyncEngine
from service.engine.api.errors import EngineStalled

EXIT_STALLED = 3
FAREWELL_SECONDS = 2.0  # for clients to receive the error, and for probes to see the failure
SHUTDOWN_SECONDS = 20.0  # for what is left after draining
_LONGEST_INTERVAL = 1.0

logger = logging.getLogger(__name__)


class Watchdog:
    """``end`` ends the process at once with a status."""

    def __init__(
        self,
        engine: AsyncEngine,
        loop: asyncio.AbstractEventLoop,
        seconds: float,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self._engine = engine
        self._loop = loop
        self._seconds = seconds
        self._end = end
        self._loop_moved = time.monotonic()
        self._shutting_down = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def expect_end(self) -> None:
        """The process is shutting down: end it if that takes longer than SHUTDOWN_SECONDS."""
        self._shutting_down.set()

    def _watch(self) -> None:
        interval = min(_LONGEST_INTERVAL, self._seconds / 4)
        trusted_from = looked = time.monotonic()
        while not self._shutting_down.wait(interval):
            now = time.monotonic()
            if now - looked > interval + self._seconds / 2:  # the process itself was suspended
                trusted_from = now + self._seconds
            looked = now
            if not self._tick():
                return
            stalled = self._stalled(now)
            if stalled is not None and now > trusted_from:
                self._give_up(stalled)
                return
        time.sleep(SHUTDOWN_SECONDS)
        logger.error("the shutdown hangs: the process ends without it")
        self._end(0)

    def _tick(self) -> bool:
        """Ask the event loop to move. Returns False once it is closed."""
        try:
            self._loop.call_soon_threadsafe(self._loop_moves)
        except RuntimeError:
            return False
        return True

    def _loop_moves(self) -> None:
        self._loop_moved = time.monotonic()

    def _stalled(self, now: float) -> str | None:
        if self._engine.heartbeat_age() > self._seconds:
            return "the step loop"
        return "the event loop" if now - self._loop_moved > self._seconds else None

    def _give_up(self, stalled: str) -> None:
        logger.critical(
            "%s has not moved for %g seconds: the process ends with status %d",
            stalled,
            self._seconds,
            EXIT_STALLED,
        )
        faulthandler.dump_traceback(all_threads=True)
        self._loop.call_soon_threadsafe(self._engine.fail, EngineStalled())
        time.sleep(FAREWELL_SECONDS)
        self._end(EXIT_STALLED)
