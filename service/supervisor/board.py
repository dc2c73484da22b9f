"""A few numbers in memory that the supervisor and all workers share.

Each number has one writer at a time and is one aligned word, so no lock is needed: a worker writes
its own slot, and the supervisor writes the slot of a worker that has ended.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from enum import IntEnum

_WORD = 8  # bytes
_HEADER = 2  # words: draining, pulse of the supervisor
_DRAINING, _PULSE = range(2)
_SLOT = 3  # words: state, pulse, connections
_MILLISECONDS = 1000


class WorkerState(IntEnum):
    """The state of a slot."""

    ENDED = 0
    STARTING = 1
    SERVING = 2
    UNREADY = 3
    """It serves, but its step loop does not move, or it is draining."""


class Board:
    """The shared numbers of ``workers`` slots. ``descriptor``: from :meth:`create`."""

    def __init__(self, descriptor: int, workers: int) -> None:
        self.descriptor = descriptor
        self.workers = workers
        self._words = memoryview(mmap.mmap(descriptor, _size(workers))).cast("q")

    @classmethod
    def create(cls, workers: int) -> Board:
        """A board in anonymous memory, all numbers 0. Raises OSError."""
        if hasattr(os, "memfd_create"):  # Linux: works where no directory can be written
            descriptor = os.memfd_create("unroll-board", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, _size(workers))
        return cls(descriptor, workers)

    # ------------------------------------------------------------ the whole service

    @property
    def draining(self) -> bool:
        """Whether the service shuts down."""
        return bool(self._words[_DRAINING])

    def start_draining(self) -> None:
        """The service shuts down."""
        self._words[_DRAINING] = 1

    def beat_supervisor(self) -> None:
        """The supervisor is alive."""
        self._words[_PULSE] = _now()

    def supervisor_age(self) -> float:
        """Seconds since the supervisor last moved."""
        return (_now() - self._words[_PULSE]) / _MILLISECONDS

    # ------------------------------------------------------------ one worker

    def state(self, slot: int) -> WorkerState:
        """The last known state of a worker."""
        return WorkerState(self._words[self._at(slot)])

    def set_state(self, slot: int, state: WorkerState) -> None:
        """Change the state of a worker; one that has ended has no connections."""
        self._words[self._at(slot)] = state
        if state in (WorkerState.ENDED, WorkerState.STARTING):
            self.set_connections(slot, 0)

    def beat(self, slot: int) -> None:
        """The event loop of a worker moves."""
        self._words[self._at(slot) + 1] = _now()

    def age(self, slot: int) -> float:
        """Seconds since the event loop of a worker last moved."""
        return (_now() - self._words[self._at(slot) + 1]) / _MILLISECONDS

    def connections(self, slot: int) -> int:
        """Open connections of a worker."""
        return self._words[self._at(slot) + 2]

    def set_connections(self, slot: int, count: int) -> None:
        """Publish the open connections of a worker."""
        self._words[self._at(slot) + 2] = count

    def _at(self, slot: int) -> int:
        return _HEADER + _SLOT * slot


def _size(workers: int) -> int:
    return (_HEADER + _SLOT * workers) * _WORD


def _now() -> int:
    """Milliseconds of the clock that all processes share."""
    return int(time.monotonic() * _MILLISECONDS)
