"""The scheduler: which sequences hold a row and which wait. Pure bookkeeping without torch or
clock.

Rows are shared fairly by client, then by kind of work, then by request. A free row goes to the
waiting client that holds the fewest rows, within it to the kind that holds the fewest, and within
that to the request that holds the fewest. The members of a request get rows in their order. If no
row is free, a member is preempted. The caller saves its state, so it resumes later with the same
result. Preemption happens:

- at once, if one client holds at least two rows more than a waiting client, and in the same way
  between two kinds of one client and between two requests of one kind;
- after ``slice_steps`` steps on its row, if the difference is one. Those that cannot all hold the
  same number take turns in this way. One that has just lost a row waits as long.

The kind is that of the caller. So a few requests that mostly read do not share their turns with a
thousand of the same client that mostly generate: either kind gets half of the client's rows, or as
many as it can use.

The preempted member is the last running one of its request. The running members of a request are
therefore always the first of those that have not ended. The choice that reads the prompt, which the
others wait for, is never preempted before them.

:mod:`service.engine.scheduling.admission` limits the number of sequences.

    from      by        to
    NEW       enqueue   WAITING
    WAITING   admit     RUNNING   takes a row
    PAUSED    admit     RUNNING   takes a row
    RUNNING   pause     PAUSED    gives the row back
    WAITING   hold      HELD
    PAUSED    hold      HELD
    RUNNING   hold      HELD      gives the row back
    HELD      release   PAUSED
    WAITING   end       ENDED
    PAUSED    end       ENDED
    RUNNING   end       ENDED     gives the row back
    HELD      end       ENDED

Held members get no row: their client does not read. All members of a request are held together.
Any other move raises IllegalTransition, so a row cannot be released twice.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from enum import Enum
from typing import Generic, Literal, NamedTuple, TypeVar

from service.engine.api.options import SLICE_STEPS
from service.engine.scheduling.ranking import Ranking


class Phase(Enum):
    """The phase of a member."""

    NEW = "new"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    HELD = "held"
    ENDED = "ended"


Move = Literal["enqueue", "admit", "pause", "hold", "release", "end"]

TRANSITIONS: dict[tuple[Phase, Move], Phase] = {
    (Phase.NEW, "enqueue"): Phase.WAITING,
    (Phase.WAITING, "admit"): Phase.RUNNING,
    (Phase.PAUSED, "admit"): Phase.RUNNING,
    (Phase.RUNNING, "pause"): Phase.PAUSED,
    (Phase.WAITING, "hold"): Phase.HELD,
    (Phase.PAUSED, "hold"): Phase.HELD,
    (Phase.RUNNING, "hold"): Phase.HELD,
    (Phase.HELD, "release"): Phase.PAUSED,
    (Phase.WAITING, "end"): Phase.ENDED,
    (Phase.PAUSED, "end"): Phase.ENDED,
    (Phase.RUNNING, "end"): Phase.ENDED,
    (Phase.HELD, "end"): Phase.ENDED,
}
LIVE = (Phase.WAITING, Phase.RUNNING, Phase.PAUSED, Phase.HELD)


class IllegalTransition(RuntimeError):  # noqa: N818
    """A move that the table does not allow; always a defect of the caller."""


class Schedulable:
    """A member that can be scheduled. Only the scheduler writes these fields."""

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.row = -1  # the row's number while RUNNING, else -1
        self.admitted_at = 0  # the scheduler's step count when it got the row

    @property
    def live(self) -> bool:
        """Whether it waits, runs, is paused or is held."""
        return self.phase in LIVE


Member = TypeVar("Member", bound=Schedulable)


class _Holder(ABC, Generic[Member]):
    """A request, or all requests of a kind, of a client, or of the scheduler. ``parent`` is the
    next larger one.
    """

    preempted_at = -math.inf  # step count when one of its members was last preempted
    parent: _Pool[Member] | None

    @property
    @abstractmethod
    def rows(self) -> int:
        """The number of its running members."""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether any of its members waits for a row."""

    @property
    @abstractmethod
    def last_running(self) -> Member:
        """The member that is preempted first; at least one must run."""

    @property
    @abstractmethod
    def first_waiting(self) -> Member:
        """The member that gets a row first; at least one must wait."""


class _Group(_Holder[Member]):
    """The members of one request."""

    def __init__(self, parent: _Pool[Member], members: Sequence[Member]) -> None:
        self.parent = parent
        self.order = {member: index for index, member in enumerate(members)}
        self.waiting = deque(members)
        self.running: list[Member] = []

    @property
    def rows(self) -> int:
        return len(self.running)

    @property
    def waits(self) -> bool:
        return bool(self.waiting)

    @property
    def last_running(self) -> Member:
        return self.running[-1]

    @property
    def first_waiting(self) -> Member:
        return self.waiting[0]


class _Pool(_Holder[Member]):
    """Several holders that share rows, ranked by the rows they hold."""

    def __init__(self, parent: _Pool[Member] | None = None, name: Hashable = None) -> None:
        self.parent = parent
        self.name = name
        self.held = 0  # rows
        self.members = 0  # live ones
        self.pools: dict[Hashable, _Pool[Member]] = {}  # in it, by name
        self.waiting: Ranking[_Holder[Member]] = Ranking()  # those with waiting members
        self.running: Ranking[_Holder[Member]] = Ranking()  # those with running members

    def pool(self, name: Hashable) -> _Pool[Member]:
        """The pool of this name in it."""
        return self.pools.setdefault(name, _Pool(self, name))

    @property
    def rows(self) -> int:
        return self.held

    @property
    def waits(self) -> bool:
        return bool(self.waiting)

    @property
    def last_running(self) -> Member:
        largest = self.running.highest
        assert largest is not None, "one of those in a pool with rows has rows"
        return largest.last_running

    @property
    def first_waiting(self) -> Member:
        smallest = self.waiting.lowest
        assert smallest is not None, "one of those in a pool that waits waits"
        return smallest.first_waiting


class Preemption(NamedTuple, Generic[Member]):
    """``preempted`` is to be paused so that ``successor`` gets its row."""

    preempted: Member
    successor: Member


class Scheduler(Generic[Member]):
    """Assigns rows 0 to ``rows`` - 1, with a queue for them."""

    def __init__(self, rows: int, slice_steps: int = SLICE_STEPS) -> None:
        if rows < 1:
            raise ValueError(f"rows: expected at least 1, got {rows}")
        self.rows = rows
        self._slice_steps = slice_steps
        self._steps = 0
        self._free = list(range(rows))  # a heap: low rows are used first
        self._running: dict[int, Member] = {}
        self._group_of: dict[Member, _Group[Member]] = {}  # of all live members
        self._all: _Pool[Member] = _Pool()  # clients
        self._held_count = 0

    @property
    def running(self) -> list[Member]:
        """Members that hold a row, by row."""
        return [self._running[row] for row in sorted(self._running)]

    @property
    def running_count(self) -> int:
        """The number of members that hold a row."""
        return len(self._running)

    @property
    def waiting_count(self) -> int:
        """The number of members that wait for a row, paused ones included."""
        return len(self._group_of) - len(self._running) - self._held_count

    def enqueue(self, client: str, members: Sequence[Member], kind: Hashable = None) -> None:
        """Add the members of a new request of a client."""
        for member in members:
            _move(member, "enqueue")
        group = _Group(self._all.pool(client).pool(kind), members)
        for pool in _pools_of(group):
            pool.members += len(members)
        self._group_of.update(dict.fromkeys(members, group))
        self._rank(group)

    def advance(self, steps: int) -> None:
        """Count steps in which every running member could take part."""
        self._steps += steps

    def admit(self) -> list[Member]:
        """Assign the free rows to waiting members. Returns those that got one."""
        admitted: list[Member] = []
        while self._free and self._all.waits:
            member = self._all.first_waiting
            self._rank(self._seat(member))
            admitted.append(member)
        return admitted

    def next_preemption(self) -> Preemption[Member] | None:
        """The next preemption that is due; None if rows are free or the shares are fair."""
        return None if self._free else self._next_preemption_in(self._all)

    def preempt(self, preempted: Member, successor: Member) -> None:
        """Pause a running member, whose state the caller has saved, and give its row to another."""
        _move(preempted, "pause")
        group = self._group_of[preempted]
        self._vacate(group, preempted)
        group.waiting.appendleft(preempted)
        gained = self._seat(successor)
        self._rank(group)
        self._rank(gained)

    def hold(self, member: Member) -> None:
        """Take a live member out of the queue and free its row, whose state was saved."""
        was = member.phase
        _move(member, "hold")
        group = self._group_of[member]
        self._withdraw(group, member, was)
        self._held_count += 1
        self._rank(group)

    def release(self, member: Member) -> None:
        """Put a held member back into the queue, at its place among those of its request."""
        _move(member, "release")
        group = self._group_of[member]
        self._held_count -= 1
        group.waiting = deque(sorted([*group.waiting, member], key=group.order.__getitem__))
        self._rank(group)

    def end(self, member: Member) -> None:
        """End a live member and free its row, if it has one."""
        was = member.phase
        _move(member, "end")
        group = self._group_of.pop(member)
        for pool in _pools_of(group):
            pool.members -= 1
        self._withdraw(group, member, was)
        self._rank(group)

    def _withdraw(self, group: _Group[Member], member: Member, was: Phase) -> None:
        if was is Phase.RUNNING:
            self._vacate(group, member)
        elif was is Phase.HELD:
            self._held_count -= 1
        else:
            group.waiting.remove(member)

    def _next_preemption_in(self, pool: _Pool[Member]) -> Preemption[Member] | None:
        """A preemption between those in the pool, or else within one of them."""
        if not pool.waits:
            return None
        preemption = self._between(pool.waiting.lowest, pool.running.highest)
        if preemption is not None:
            return preemption
        for inner in pool.running:
            if isinstance(inner, _Pool):
                preemption = self._next_preemption_in(inner)
                if preemption is not None:
                    return preemption
        return None

    def _between(
        self, poorest: _Holder[Member] | None, richest: _Holder[Member] | None
    ) -> Preemption[Member] | None:
        """A preemption from the richest to the poorest, if it makes the shares fairer or is due
        by time.
        """
        if poorest is None or richest is None:
            return None
        difference = richest.rows - poorest.rows
        preempted = richest.last_running
        if difference == 1:
            later = self._steps - self._slice_steps
            if max(preempted.admitted_at, poorest.preempted_at) > later:
                return None
        elif difference < 1:
            return None
        richest.preempted_at = self._steps
        return Preemption(preempted, poorest.first_waiting)

    def _seat(self, member: Member) -> _Group[Member]:
        """Assign a free row to the next member of its request."""
        _move(member, "admit")
        group = self._group_of[member]
        group.waiting.remove(member)
        group.running.append(member)
        for pool in _pools_of(group):
            pool.held += 1
        member.row = heapq.heappop(self._free)
        member.admitted_at = self._steps
        self._running[member.row] = member
        return group

    def _vacate(self, group: _Group[Member], member: Member) -> None:
        group.running.remove(member)
        for pool in _pools_of(group):
            pool.held -= 1
        del self._running[member.row]
        heapq.heappush(self._free, member.row)
        member.row = -1

    def _rank(self, group: _Group[Member]) -> None:
        """Update the ranks of a request, and of the pools that it is in, after a change."""
        inner: _Holder[Member] = group
        for pool in _pools_of(group):
            pool.waiting.put(inner, inner.rows if inner.waits else None)
            pool.running.put(inner, inner.rows or None)
            if isinstance(inner, _Pool) and not inner.members:
                pool.pools.pop(inner.name, None)
            inner = pool


def _pools_of(group: _Group[Member]) -> Iterator[_Pool[Member]]:
    """The pools that a request is in, the smallest first."""
    pool = group.parent
    while pool is not None:
        yield pool
        pool = pool.parent


def _move(member: Schedulable, move: Move) -> None:
    after = TRANSITIONS.get((member.phase, move))
    if after is None:
        raise IllegalTransition(f"cannot {move} a sequence that is {member.phase.value}")
    member.phase = after
