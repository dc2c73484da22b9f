"""The scheduler as a state machine, and the long-run shares of clients and requests."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.engine.scheduling.scheduler import (
    LIVE,
    IllegalTransition,
    Phase,
    Schedulable,
    Scheduler,
)

ROWS = 5
SLICE = 3
CLIENTS = ("a", "b", "c")
KINDS = ("reads", "generates")


class Member(Schedulable):
    """A member with its client, kind of work and request."""

    def __init__(self, client: str, request: int, kind: str = "") -> None:
        super().__init__()
        self.client = client
        self.kind = client, kind
        self.request = request


def settle(scheduler: Scheduler[Member]) -> list[Member]:
    """Run preemptions until none is due. Returns the paused members."""
    paused = []
    scheduler.admit()
    while (preemption := scheduler.next_preemption()) is not None:
        scheduler.preempt(*preemption)
        paused.append(preemption.preempted)
        assert len(paused) <= 4 * scheduler.rows, "rows change hands without an end"
    return paused


class SchedulerMachine(RuleBasedStateMachine):
    """Requests of two kinds of three clients arrive, run, are paused and end, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: Scheduler[Member] = Scheduler(ROWS, SLICE)
        self.requests: list[list[Member]] = []

    def members(self, *phases: Phase) -> list[Member]:
        """All members in one of those phases, in order of arrival."""
        return [one for request in self.requests for one in request if one.phase in phases]

    @rule(
        client=st.sampled_from(CLIENTS),
        kind=st.sampled_from(KINDS),
        size=st.integers(1, 2 * ROWS),
    )
    def enqueue(self, client: str, kind: str, size: int) -> None:
        """A new request waits. It may have more members than there are rows."""
        request = [Member(client, len(self.requests), kind) for _ in range(size)]
        self.scheduler.enqueue(client, request, kind)
        self.requests.append(request)

    @rule(steps=st.integers(0, 2 * SLICE))
    def turn(self, steps: int) -> None:
        """Rows are reassigned, then all running members take some steps."""
        settle(self.scheduler)
        self.is_fair()
        self.scheduler.advance(steps)

    def is_fair(self) -> None:
        """No row is free while a member waits, and no share exceeds a waiting one by two rows."""
        waiting = self.members(Phase.WAITING, Phase.PAUSED)
        running = self.members(Phase.RUNNING)
        if not waiting:
            return
        assert len(running) == ROWS
        by_client = Counter(one.client for one in running)
        by_kind = Counter(one.kind for one in running)
        by_request = Counter(one.request for one in running)
        for one in waiting:
            assert max(by_client.values()) - by_client[one.client] <= 1
            kinds = [by_kind[other.kind] for other in running if other.client == one.client]
            assert max(kinds, default=0) - by_kind[one.kind] <= 1
            own = [by_request[other.request] for other in running if other.kind == one.kind]
            assert max(own, default=0) - by_request[one.request] <= 1

    @precondition(lambda self: self.members(*LIVE))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A live member ends."""
        self.scheduler.end(data.draw(st.sampled_from(self.members(*LIVE))))

    @precondition(lambda self: self.members(*LIVE))
    @rule(data=st.data())
    def hold_or_release(self, data: st.DataObject) -> None:
        """A request is held, or goes on if it is held."""
        member = data.draw(st.sampled_from(self.members(*LIVE)))
        move = self.scheduler.release if member.phase is Phase.HELD else self.scheduler.hold
        for one in self.requests[member.request]:
            if one.live:
                move(one)

    @precondition(lambda self: self.members(Phase.ENDED))
    @rule(data=st.data())
    def nothing_comes_back(self, data: st.DataObject) -> None:
        """An ended member can neither end again, nor be paused, nor wait."""
        member = data.draw(st.sampled_from(self.members(Phase.ENDED)))
        with pytest.raises(IllegalTransition):
            self.scheduler.end(member)
        with pytest.raises(IllegalTransition):
            self.scheduler.preempt(member, member)
        with pytest.raises(IllegalTransition):
            self.scheduler.enqueue("a", [member])

    @invariant()
    def no_row_is_held_twice(self) -> None:
        """Running members hold different rows in range; no other member holds one."""
        rows = [member.row for member in self.members(Phase.RUNNING)]
        assert len(set(rows)) == len(rows) <= ROWS
        assert set(rows) <= set(range(ROWS))
        others = self.members(Phase.WAITING, Phase.PAUSED, Phase.HELD, Phase.ENDED)
        assert all(member.row == -1 for member in others)

    @invariant()
    def nobody_is_lost(self) -> None:
        """The scheduler's counts agree with the phases of all members."""
        running = self.members(Phase.RUNNING)
        assert self.scheduler.running == sorted(running, key=lambda member: member.row)
        assert self.scheduler.running_count == len(running)
        waiting = self.members(Phase.WAITING, Phase.PAUSED)
        assert self.scheduler.waiting_count == len(waiting)

    @invariant()
    def the_first_of_a_request_run(self) -> None:
        """The running members of a request are the first of its live ones."""
        for request in self.requests:
            runs = [one.phase is Phase.RUNNING for one in request if one.live]
            assert runs == sorted(runs, reverse=True)

    def teardown(self) -> None:
        """All remaining members get a row in the end."""
        for member in self.members(Phase.HELD):
            self.scheduler.release(member)
        waited = self.members(Phase.WAITING, Phase.PAUSED)
        for _ in range(100 * len(self.requests) * ROWS):
            settle(self.scheduler)
            waited = [one for one in waited if one.phase in (Phase.WAITING, Phase.PAUSED)]
            running = self.scheduler.running
            if not running:
                break
            self.scheduler.advance(1)
            self.scheduler.end(running[0])
        assert not waited
        clients = self.scheduler._all
        assert clients.pools == {}
        assert not clients.waiting
        assert not clients.running


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=100, stateful_step_count=40)

Sizes = st.lists(st.integers(1, 2 * ROWS), min_size=1, max_size=8)


def served(requests: dict[tuple[str, int], int], turns: int) -> Counter[tuple[str, int]]:
    """Steps on a row of each endless request (client, number): size, in a number of turns."""
    scheduler: Scheduler[Member] = Scheduler(ROWS, SLICE)
    for (client, number), size in requests.items():
        scheduler.enqueue(client, [Member(client, number) for _ in range(size)])
    steps: Counter[tuple[str, int]] = Counter(dict.fromkeys(requests, 0))
    for _ in range(turns):
        settle(scheduler)
        for member in scheduler.running:
            steps[member.client, member.request] += 1
        scheduler.advance(1)
    return steps


@settings(max_examples=60)
@given(sizes=st.lists(Sizes, min_size=2, max_size=8))
def test_clients_that_want_everything_get_the_same(sizes: list[list[int]]) -> None:
    """For any number and size of requests, the shares of clients differ by a constant: after a
    long time as after a short one.
    """
    requests = {
        (str(client), number): size
        for client, own in enumerate(sizes)
        for number, size in enumerate([*own, ROWS])  # so that each could use all rows
    }
    spreads = []
    for turns in (200, 1000):
        by_client: Counter[str] = Counter()
        for (client, _), steps in served(requests, turns).items():
            by_client[client] += steps
        spreads.append(max(by_client.values()) - min(by_client.values()))
    assert max(spreads) <= 2 * SLICE * ROWS


@settings(max_examples=60)
@given(sizes=Sizes)
def test_requests_of_one_client_are_not_starved(sizes: list[int]) -> None:
    """Each has a share, up to its size; more requests than rows take turns."""
    requests = {("a", number): size for number, size in enumerate(sizes)}
    turns = 1000
    steps = served(requests, turns)
    share = min(1.0, ROWS / len(sizes))
    assert min(steps.values()) >= share * turns - 3 * SLICE * len(sizes)


def test_a_request_without_a_row_goes_before_a_second_row() -> None:
    """A single sequence has a row in the next turn, behind 40 requests of 16 of its own or
    another client.
    """
    for client in ("greedy", "other"):
        scheduler: Scheduler[Member] = Scheduler(64)
        for number in range(40):
            scheduler.enqueue("greedy", [Member("greedy", number) for _ in range(16)])
        settle(scheduler)
        single = Member(client, 40)
        scheduler.enqueue(client, [single])
        assert settle(scheduler)
        assert single.phase is Phase.RUNNING


def test_slices_have_the_configured_minimum_length() -> None:
    """With more equal requests than rows, each pause comes after a whole slice."""
    scheduler: Scheduler[Member] = Scheduler(ROWS, SLICE)
    for number in range(3 * ROWS):
        scheduler.enqueue(str(number), [Member(str(number), number)])
    pauses = []
    for turn in range(20):
        pauses.append(len(settle(scheduler)))
        assert (pauses[turn] > 0) == (turn > 0 and turn % SLICE == 0)
        scheduler.advance(1)


def test_a_scheduler_needs_a_row() -> None:
    """A scheduler without rows is refused, since all members would wait forever."""
    with pytest.raises(ValueError, match="rows"):
        Scheduler(0)
