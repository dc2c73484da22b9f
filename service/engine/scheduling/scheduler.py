"""Which sequences hold a row, and which wait. Pure bookkeeping: no torch, no clock, no texts.

Rows are shared fairly by client, then by request. A free row goes to the client that holds the
fewest rows among those that wait, and of that client to the request that holds the fewest; the
members of a request get rows in their order. When no row is free, a member is paused to make room
(its state is saved by the caller, so it goes on later with the same result):

- at once, where one client holds at least two rows more than a client that waits, or one request
  at least two more than another request of the same client;
- after ``slice_steps`` steps on its row, where the difference is one. Clients or requests that
  cannot all have the same take turns in this way; who has just made room waits as long.

The member that is paused is the last running one of its request. The running members of a request
are therefore always the first of those that have not ended, and what the others wait for (the
choice that reads the prompt) is never paused before them.

How many sequences are taken in at all is decided in :mod:`service.engine.scheduling.admission`.

    from      by        to
    NEW       enqueue   WAITING
    WAITING   admit     RUNNING   takes a row
    PAUSED    admit     RUNNING   takes a row
    RUNNING   pause     PAUSED    gives the row back
    WAITING   end       ENDED
    PAUSED    end       ENDED
    RUNNING   end       ENDED     gives the row back

Any other move raises IllegalTransition, so nothing can be released twice.
"""

from __future__ import annotations

import heapq
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import Generic, Literal, NamedTuple, TypeVar

from service.engine.api.options import SLICE_STEPS
from service.engine.scheduling.ranking import Ranking


class Phase(Enum):
    """Where a member is in its life."""

    NEW = "new"
    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"


Move = Literal["enqueue", "admit", "pause", "end"]

TRANSITIONS: dict[tuple[Phase, Move], Phase] = {
    (Phase.NEW, "enqueue"): Phase.WAITING,
    (Phase.WAITING, "admit"): Phase.RUNNING,
    (Phase.PAUSED, "admit"): Phase.RUNNING,
    (Phase.RUNNING, "pause"): Phase.PAUSED,
    (Phase.WAITING, "end"): Phase.ENDED,
    (Phase.PAUSED, "end"): Phase.ENDED,
    (Phase.RUNNING, "end"): Phase.ENDED,
}
LIVE = (Phase.WAITING, Phase.RUNNING, Phase.PAUSED)


class IllegalTransition(RuntimeError):  # noqa: N818 it says what happened
    """A move that the table does not allow; always a defect of the caller."""


class Schedulable:
    """What can be scheduled. The fields belong to the scheduler: others only read them."""

    def __init__(self) -> None:
        self.phase = Phase.NEW
        self.row = -1  # a row's number while RUNNING, else -1
        self.admitted_at = 0  # steps counted by the scheduler when it got the row

    @property
    def live(self) -> bool:
        """Whether it waits, runs or is paused."""
        return self.phase in LIVE


Member = TypeVar("Member", bound=Schedulable)


class _Holder(ABC, Generic[Member]):
    """A client or a request."""

    made_room_at = -math.inf  # steps counted when one of its members was last chosen to pause

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many of its members run."""

    @property
    @abstractmethod
    def last_running(self) -> Member:
        """The member that is paused first; there must be one that runs."""

    @property
    @abstractmethod
    def first_waiting(self) -> Member:
        """The member that gets a row first; there must be one that waits."""


class _Group(_Holder[Member]):
    """The members of one request."""

    def __init__(self, client: _Client[Member], members: Sequence[Member]) -> None:
        self.client = client
        self.waiting = deque(members)
        self.running: list[Member] = []

    @property
    def rows(self) -> int:
        return len(self.running)

    @property
    def last_running(self) -> Member:
        return self.running[-1]

    @property
    def first_waiting(self) -> Member:
        return self.waiting[0]


class _Client(_Holder[Member]):
    """The requests of one client, by the rows they hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held = 0
        self.hungry: Ranking[_Group[Member]] = Ranking()  # with members that wait
        self.holding: Ranking[_Group[Member]] = Ranking()  # with members that run

    @property
    def rows(self) -> int:
        return self.held

    @property
    def last_running(self) -> Member:
        largest = self.holding.highest
        assert largest is not None, "a client with rows has a request with rows"
        return largest.last_running

    @property
    def first_waiting(self) -> Member:
        smallest = self.hungry.lowest
        assert smallest is not None, "a client that waits has a request that waits"
        return smallest.first_waiting


class Exchange(NamedTuple, Generic[Member]):
    """``giver`` is to be paused so that ``taker`` has its row."""

    giver: Member
    taker: Member


class Scheduler(Generic[Member]):
    """Rows 0 to ``rows`` - 1 and the queue for them."""

    def __init__(self, rows: int, slice_steps: int = SLICE_STEPS) -> None:
        if rows < 1:
            raise ValueError(f"rows: expected at least 1, got {rows}")
        self.rows = rows
        self._slice_steps = slice_steps
        self._steps = 0
        self._free = list(range(rows))  # a heap, so that low rows are used first
        self._running: dict[int, Member] = {}
        self._group_of: dict[Member, _Group[Member]] = {}  # of all that are live
        self._clients: dict[str, _Client[Member]] = {}
        self._hungry: Ranking[_Client[Member]] = Ranking()
        self._holding: Ranking[_Client[Member]] = Ranking()

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
        """How many members wait for a row, paused ones included."""
        return len(self._group_of) - len(self._running)

    def enqueue(self, client: str, members: Sequence[Member]) -> None:
        """Takes in the members of a new request of that client."""
        for member in members:
            _move(member, "enqueue")
        group = _Group(self._clients.setdefault(client, _Client(client)), members)
        self._group_of.update(dict.fromkeys(members, group))
        self._rank(group)

    def advance(self, steps: int) -> None:
        """Counts steps that every running member could take part in."""
        self._steps += steps

    def admit(self) -> list[Member]:
        """Gives the free rows to members that wait; returns those that got one."""
        admitted: list[Member] = []
        while self._free and (client := self._hungry.lowest) is not None:
            member = client.first_waiting
            self._rank(self._seat(member))
            admitted.append(member)
        return admitted

    def next_exchange(self) -> Exchange[Member] | None:
        """Who must make room for whom; None if there are free rows, or all is fair for now."""
        if self._free or not self._hungry:
            return None
        exchange = self._between(self._hungry.lowest, self._holding.highest)
        if exchange is not None:
            return exchange
        for client in self._holding:
            exchange = self._between(client.hungry.lowest, client.holding.highest)
            if exchange is not None:
                return exchange
        return None

    def exchange(self, giver: Member, taker: Member) -> None:
        """Pauses a running member, whose state the caller has saved; another has its row now."""
        _move(giver, "pause")
        group = self._group_of[giver]
        self._vacate(group, giver)
        group.waiting.appendleft(giver)
        gained = self._seat(taker)
        self._rank(group)
        self._rank(gained)

    def end(self, member: Member) -> None:
        """Ends a live member; its row, if it has one, is free at once."""
        was = member.phase
        _move(member, "end")
        group = self._group_of.pop(member)
        if was is Phase.RUNNING:
            self._vacate(group, member)
        else:
            group.waiting.remove(member)
        self._rank(group)

    def _between(
        self, poorest: _Holder[Member] | None, richest: _Holder[Member] | None
    ) -> Exchange[Member] | None:
        """One row from the richest to the poorest, where that is fairer or it is time to."""
        if poorest is None or richest is None:
            return None
        difference = richest.rows - poorest.rows
        giver = richest.last_running
        if difference == 1:
            later = self._steps - self._slice_steps
            if max(giver.admitted_at, poorest.made_room_at) > later:
                return None
        elif difference < 1:
            return None
        richest.made_room_at = self._steps
        return Exchange(giver, poorest.first_waiting)

    def _seat(self, member: Member) -> _Group[Member]:
        """Gives a free row to the member that is the next of its request."""
        _move(member, "admit")
        group = self._group_of[member]
        group.waiting.remove(member)
        group.running.append(member)
        group.client.held += 1
        member.row = heapq.heappop(self._free)
        member.admitted_at = self._steps
        self._running[member.row] = member
        return group

    def _vacate(self, group: _Group[Member], member: Member) -> None:
        group.running.remove(member)
        group.client.held -= 1
        del self._running[member.row]
        heapq.heappush(self._free, member.row)
        member.row = -1

    def _rank(self, group: _Group[Member]) -> None:
        """Puts a request and its client where they belong after any change."""
        client, rows = group.client, group.rows
        client.hungry.put(group, rows if group.waiting else None)
        client.holding.put(group, rows or None)
        self._hungry.put(client, client.rows if client.hungry else None)
        self._holding.put(client, client.rows or None)
        if client not in self._hungry and client not in self._holding:
            self._clients.pop(client.name, None)


def _move(member: Schedulable, move: Move) -> None:
    after = TRANSITIONS.get((member.phase, move))
    if after is None:
        raise IllegalTransition(f"cannot {move} what is {member.phase.value}")
    member.phase = after
