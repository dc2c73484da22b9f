"""A budget of time as a function of steps, so that a run that a clock ended can be repeated.

The budget has PARTS. A run asks its clock once at each step, and records for each part the step at
which it was used up. A run that begins from such a record asks no clock. Knows no clock itself.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.errors import RecipeError

PARTS = 200
HELP = (
    "the step at which each two-hundredth of --minutes is used up, in place of the clock; a run "
    "that the clock ended writes it into its recipe"
)


def check_pace(pace: Sequence[int] | None, minutes: float | None) -> None:
    """Refuses what no run can have recorded.

    Raises:
        RecipeError: the message says what is expected.
    """
    if pace is None:
        return
    if minutes is None:
        raise RecipeError("--pace: belongs to --minutes; give both or neither")
    if len(pace) != PARTS or list(pace) != sorted(pace) or pace[0] < 0:
        raise RecipeError(
            f"--pace: expected {PARTS} step numbers in rising order, as the recipe of a finished "
            f"run has them, got {len(pace)} numbers; leave it out to train by the clock"
        )


@dataclass(slots=True)
class Pace:
    """How far a run is at each step.

    Args:
        record: of an earlier run, to be repeated.
        used_up: for each part that is used up, the step at which this was found.
        asked_at: the step at which the clock was asked last.
        decided: whether the clock, not steps or epochs, said how far the run was at any step.
    """

    record: Sequence[int] | None = None
    used_up: list[int] = field(default_factory=list)
    asked_at: int = -1
    decided: bool = False

    def __post_init__(self) -> None:
        if self.record is not None:
            self.used_up = list(self.record)

    def progress(self, step: int, *, counted: float, timed: float) -> float:
        """The share of the run before ``step``: the same however often it is asked.

        ``counted`` is the share by steps or epochs, ``timed`` that by the clock.
        """
        if self.record is None and step != self.asked_at:
            self.asked_at = step
            new = math.floor(timed * PARTS + 1e-9) - len(self.used_up)
            self.used_up.extend([step] * new)
            self.decided |= len(self.used_up) / PARTS > counted
        return max(counted, bisect_right(self.used_up, step) / PARTS)

    def recorded(self, steps: int) -> tuple[int, ...] | None:
        """What repeats a run that has ended after ``steps``; None where the clock decided nothing.

        Parts that are left over are used up one step later.
        """
        if not self.decided:
            return None
        return (*self.used_up, *[steps + 1] * (PARTS - len(self.used_up)))

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"used_up": self.used_up, "asked_at": self.asked_at, "decided": self.decided}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from there."""
        if self.record is None:
            self.used_up = list(state["used_up"])
            self.asked_at, self.decided = state["asked_at"], state["decided"]
