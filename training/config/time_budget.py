"""A clock whose readings can be replayed, so that a run under a time budget can be repeated.

The budget has `PACE_PARTS` parts. A run reads the clock once in each step and records for each part
the step at which it was used up. A run that is given such a record replays it and reads no clock.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from training.errors import RecipeError

PACE_PARTS = 200
PACE_HELP = (
    "steps at which each two-hundredth of --minutes is used up, instead of a clock; the recipe of "
    "a run that the clock ended has them"
)


def check_pace(pace: Sequence[int] | None, minutes: float | None) -> None:
    """Checks the value of the option ``--pace``.

    Raises:
        RecipeError: it is not a record of a run with a time budget.
    """
    if pace is None:
        return
    if minutes is None:
        raise RecipeError("--pace: belongs to --minutes; give both or neither")
    if len(pace) != PACE_PARTS or list(pace) != sorted(pace) or pace[0] < 0:
        raise RecipeError(
            f"--pace: expected {PACE_PARTS} step numbers in rising order, as in the recipe of a "
            f"finished run, got {len(pace)} numbers; leave it out to train by the clock"
        )


@dataclass(slots=True)
class ReplayableClock:
    """The progress of a run at each step, read from a clock or replayed.

    Args:
        record: the record of an earlier run, to be replayed.
        used_up: for each part that is used up, the step at which it was.
        asked_at: the step of the latest reading.
        decided: whether the clock was ahead of the steps or epochs at any reading.
    """

    record: Sequence[int] | None = None
    used_up: list[int] = field(default_factory=list)
    asked_at: int = -1
    decided: bool = False

    def __post_init__(self) -> None:
        if self.record is not None:
            self.used_up = list(self.record)

    def progress(self, step: int, *, counted: float, timed: float) -> float:
        """The share of the run before ``step``; repeated calls for one step agree.

        Args:
            step: the number of steps that are done.
            counted: the share by steps or epochs.
            timed: the share by the clock.
        """
        if self.record is None and step != self.asked_at:
            self.asked_at = step
            new = math.floor(timed * PACE_PARTS + 1e-9) - len(self.used_up)
            self.used_up.extend([step] * new)
            self.decided |= len(self.used_up) / PACE_PARTS > counted
        return max(counted, bisect_right(self.used_up, step) / PACE_PARTS)

    def recorded(self, steps: int) -> tuple[int, ...] | None:
        """The record that repeats a run of ``steps`` steps; None if the clock had no effect.

        Parts that are left over are recorded one step later.
        """
        if not self.decided:
            return None
        return (*self.used_up, *[steps + 1] * (PACE_PARTS - len(self.used_up)))

    def state(self) -> dict[str, Any]:
        """The values that a checkpoint holds."""
        return {"used_up": self.used_up, "asked_at": self.asked_at, "decided": self.decided}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from the values of a checkpoint."""
        if self.record is None:
            self.used_up = list(state["used_up"])
            self.asked_at, self.decided = state["asked_at"], state["decided"]
