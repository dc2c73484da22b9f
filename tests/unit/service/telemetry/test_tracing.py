"""The spans of a task, whatever happens to it."""

from __future__ import annotations

import time
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.tracing import RequestTrace, TaskTrace

CALLS = st.lists(st.sampled_from(["start", "event", "final", "end"]), max_size=12)


class Stages:
    """Records the stages in place of a span."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, int]] = []

    def now(self) -> int:
        return time.monotonic_ns()

    def stage(self, name: str, begin: int, end: int, model: str) -> None:
        assert model == "m"
        self.stages.append((name, begin, end))


@given(CALLS)
def test_stages_follow_each_other(calls: list[str]) -> None:
    """Whether a task is cancelled, fails or ends: each stage begins where the one before ended, and
    nothing is added after the end.
    """
    recorded = Stages()
    task = TaskTrace(cast("RequestTrace", recorded), "m")
    for call in calls:
        if call == "start":
            task.start()
        elif call == "end":
            task.end()
        else:
            task.event(final=call == "final")
    task.end()
    names = [name for name, _, _ in recorded.stages]
    assert names == ["queue", "first token", "rest"][: len(names)]
    assert len(names) >= 1
    for (_, begin, end), (_, following, _) in zip(
        recorded.stages, recorded.stages[1:], strict=False
    ):
        assert begin <= end == following
    count = len(recorded.stages)
    task.event(final=True)
    assert len(recorded.stages) == count
