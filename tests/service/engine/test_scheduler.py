"""The scheduler as a state machine against a plain model of it."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.engine.scheduler import IllegalTransition, Phase, Schedulable, Scheduler

ROWS = 5


class SchedulerMachine(RuleBasedStateMachine):
    """Groups come, are admitted, and end in any order; the model is a list in order of arrival."""

    def __init__(self) -> None:
        super().__init__()
        self.scheduler: Scheduler[Schedulable] = Scheduler(ROWS)
        self.groups: list[list[Schedulable]] = []
        self.ended: list[Schedulable] = []

    def members(self, phase: Phase) -> list[Schedulable]:
        """All members in that phase, in order of arrival."""
        return [member for group in self.groups for member in group if member.phase is phase]

    @rule(size=st.integers(1, ROWS))
    def enqueue(self, size: int) -> None:
        """A new group waits."""
        group = [Schedulable() for _ in range(size)]
        self.scheduler.enqueue(group)
        self.groups.append(group)

    @rule()
    def admit(self) -> None:
        """Exactly the longest run of groups at the head that fits is admitted, in order."""
        free = ROWS - len(self.members(Phase.RUNNING))
        expected: list[Schedulable] = []
        for group in self.groups:
            waiting = [member for member in group if member.phase is Phase.WAITING]
            if len(expected) + len(waiting) > free:
                break
            expected += waiting
        assert self.scheduler.admit() == expected

    @precondition(lambda self: self.members(Phase.RUNNING) or self.members(Phase.WAITING))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """One that runs or waits ends."""
        live = self.members(Phase.RUNNING) + self.members(Phase.WAITING)
        member = data.draw(st.sampled_from(live))
        self.scheduler.end(member)
        self.ended.append(member)

    @precondition(lambda self: self.ended)
    @rule(data=st.data())
    def end_again(self, data: st.DataObject) -> None:
        """What has ended cannot end again, nor come back."""
        member = data.draw(st.sampled_from(self.ended))
        with pytest.raises(IllegalTransition):
            self.scheduler.end(member)
        with pytest.raises(IllegalTransition):
            self.scheduler.enqueue([member])

    @invariant()
    def no_row_is_held_twice(self) -> None:
        """Running members hold different rows in range; nobody else holds any."""
        rows = [member.row for member in self.members(Phase.RUNNING)]
        assert len(set(rows)) == len(rows) <= ROWS
        assert set(rows) <= set(range(ROWS))
        others = self.members(Phase.WAITING) + self.ended
        assert all(member.row == -1 for member in others)

    @invariant()
    def counts_and_lists_agree(self) -> None:
        """What the scheduler says of itself is what the model says."""
        running = self.members(Phase.RUNNING)
        assert self.scheduler.running == sorted(running, key=lambda member: member.row)
        assert self.scheduler.running_count == len(running)
        assert self.scheduler.waiting_count == len(self.members(Phase.WAITING))
        assert len(set(map(id, self.ended))) == len(self.ended)

    @invariant()
    def a_group_starts_together(self) -> None:
        """No group has members that wait beside members that run."""
        for group in self.groups:
            phases = {member.phase for member in group}
            assert not {Phase.WAITING, Phase.RUNNING} <= phases

    @invariant()
    def nobody_overtakes(self) -> None:
        """Nothing behind a waiting group has ever been admitted."""
        waiting = False
        for group in self.groups:
            if any(member.phase is Phase.WAITING for member in group):
                waiting = True
            elif waiting:
                assert not any(member.phase is Phase.RUNNING for member in group)


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=60, stateful_step_count=40)


def test_a_group_that_can_never_fit_is_refused() -> None:
    """Otherwise it would block the queue for ever."""
    scheduler: Scheduler[Schedulable] = Scheduler(2)
    with pytest.raises(ValueError, match="3 does not fit in 2 rows"):
        scheduler.enqueue([Schedulable(), Schedulable(), Schedulable()])
    with pytest.raises(ValueError, match="rows"):
        Scheduler(0)
