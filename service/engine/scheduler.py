"""Who holds which row and who waits. Pure bookkeeping: no torch, no clock, no texts.

A group is what must start together: the choices of a request, the workers of a search. Groups
wait in one queue, first come first served: the group at its head is admitted as soon as there is
a free row for each of its members, and nothing behind it is admitted before it. Members end one
by one, at any time, and a row is free again the moment its holder ends. How many may be in the
house at all is not decided here (see :mod:`service.engine.admission`).

    from      by        to
    NEW       enqueue   WAITING
    WAITING   admit     RUNNING   takes a row
    WAITING   end       ENDED
    RUNNING   end       ENDED     gives the row back

Any other move raises IllegalTransition, so nothing can be released twice.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Generic, Literal, TypeVar


class Phase(Enum):
    """Where a member is in its life."""

    NEW = "new"
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"


Move = Literal["enqueue", "admit", "end"]

TRANSITIONS: dict[tuple[Phase, Move], Phase] = {
    (Phase.NEW, "enqueue"): Phase.WAITING,
    (Phase.WAITING, "admit"): Phase.RUNNING,
    (Phase.WAITING, "end"): Phase.ENDED,
    (Phase.RUNNING, "end"): Phase.ENDED,
}


class IllegalTransition(RuntimeError):  # noqa: N818 it says what happened
    """A move that the table does not allow; always a defect of the caller."""


class Schedulable:
    """What can be scheduled. Both fields belong to the scheduler: others only read them."""

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.row = -1  # a row's number while RUNNING, else -1


Member = TypeVar("Member", bound=Schedulable)


class Scheduler(Generic[Member]):
    """Rows 0 to ``rows`` - 1 and the queue for them."""

    def __init__(self, rows: int) -> None:
        if rows < 1:
            raise ValueError(f"rows: expected at least 1, got {rows}")
        self.rows = rows
        self._free = list(range(rows))  # a heap, so that low rows are used first
        self._running: dict[int, Member] = {}
        self._queue: deque[list[Member]] = deque()
        self._waiting = 0

    @property
    def running(self) -> list[Member]:
        """Members that hold a row, by row."""
        return [self._running[row] for row in sorted(self._running)]

    @property
    def running_count(self) -> int:
        """How many members hold a row."""
        return len(self._running)

    @property
    def waiting_count(self) -> int:
        """How many members wait for a row."""
        return self._waiting

    def enqueue(self, group: Sequence[Member]) -> None:
        """Puts a group at the end of the queue. ValueError if it can never be admitted."""
        if not 1 <= len(group) <= self.rows:
            raise ValueError(f"a group of {len(group)} does not fit in {self.rows} rows")
        for member in group:
            _move(member, "enqueue")
        self._queue.append(list(group))
        self._waiting += len(group)

    def admit(self) -> list[Member]:
        """Gives rows to groups from the head of the queue while they fit; who got one."""
        admitted: list[Member] = []
        while self._queue:
            live = [member for member in self._queue[0] if member.phase is Phase.WAITING]
            if len(live) > len(self._free):
                break
            self._queue.popleft()
            for member in live:
                _move(member, "admit")
                member.row = heapq.heappop(self._free)
                self._running[member.row] = member
            self._waiting -= len(live)
            admitted += live
        return admitted

    def end(self, member: Member) -> None:
        """Ends a member that waits or runs; its row is free at once."""
        was = member.phase
        _move(member, "end")
        if was is Phase.RUNNING:
            del self._running[member.row]
            heapq.heappush(self._free, member.row)
            member.row = -1
        else:
            self._waiting -= 1


def _move(member: Schedulable, move: Move) -> None:
    after = TRANSITIONS.get((member.phase, move))
    if after is None:
        raise IllegalTransition(f"cannot {move} what is {member.phase.value}")
    member.phase = after
