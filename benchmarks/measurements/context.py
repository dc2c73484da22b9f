"""Time per token of a kernel after few and after many tokens of one sequence.

A recurrent state has a fixed size, so the time should be constant. Two rows of one kernel are timed
in turns, each from a state saved at its position.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.harness.statistics import median, ratio
from benchmarks.measurements.stepping import BURST
from service.kernel.api.interface import Kernel, RowWork, Sampling

BURSTS_PER_TURN = 4
MAX_POINTS = 50  # of a line in the figure


@dataclass(frozen=True)
class LatencyProfile:
    """Seconds per token of one sequence.

    Args:
        way: kernel, or over HTTP.
        early: position of the early measurement, in tokens.
        late: position of the late measurement.
        early_seconds: seconds per token after ``early``.
        late_seconds: seconds per token after ``late``.
        places: positions along the sequence.
        parts: seconds per token up to each of these positions.
    """

    way: str
    early: int
    late: int
    early_seconds: float
    late_seconds: float
    places: Sequence[int]
    parts: Sequence[float]

    @property
    def late_over_early(self) -> float:
        """The ratio of both times; 1 if the time per token is constant."""
        return ratio(self.late_seconds, self.early_seconds)


class GenerationCursor:
    """One row that generates without end, with one saved position to return to."""

    def __init__(self, kernel: Kernel, row: int) -> None:
        self._kernel = kernel
        sampling = Sampling(seed=1, logprob=False)
        self._work = RowWork(row=row, feed=[1], sample=BURST, sampling=sampling)
        kernel.open(row)

    @property
    def position(self) -> int:
        """Tokens generated so far."""
        return self._work.position

    def burst(self) -> float:
        """Generates the tokens of one call; returns the seconds per token."""
        begin = time.perf_counter()
        (result,) = self._kernel.run([self._work], BURST)
        seconds = time.perf_counter() - begin
        self._work.feed = [result.tokens[-1]]
        self._work.position += BURST
        return seconds / BURST

    def advance_to(self, position: int) -> list[float]:
        """Generates up to a position; returns the seconds per token of every burst."""
        seconds = []
        while self.position < position:
            seconds.append(self.burst())
        return seconds

    def save(self) -> None:
        """Saves the current position."""
        self._saved = self._kernel.save(self._work.row), self._work.feed, self._work.position

    def restore(self) -> None:
        """Returns to the saved position."""
        state, self._work.feed, self._work.position = self._saved
        self._kernel.restore(self._work.row, state)


def profile_kernel(
    name: str, kernel: Kernel, *, early: int, late: int, turns: int
) -> LatencyProfile:
    """Generates ``late`` tokens, then times tokens after ``early`` and after ``late`` in turns."""
    early_cursor, late_cursor = GenerationCursor(kernel, 0), GenerationCursor(kernel, 1)
    early_cursor.advance_to(early)
    early_cursor.save()
    seconds = late_cursor.advance_to(late)
    late_cursor.save()
    samples: dict[GenerationCursor, list[float]] = {early_cursor: [], late_cursor: []}
    for _ in range(turns):
        for cursor, cursor_samples in samples.items():
            cursor.restore()
            cursor_samples += [cursor.burst() for _ in range(BURSTS_PER_TURN)]
    positions = [BURST * (index + 1) for index in range(len(seconds))]
    return LatencyProfile(
        name,
        early,
        late,
        median(samples[early_cursor]),
        median(samples[late_cursor]),
        *downsample(positions, seconds),
    )


def downsample(positions: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """At most MAX_POINTS points: the last position and the median value of equal intervals."""
    length = -(-len(values) // MAX_POINTS) or 1
    starts = range(0, len(values), length)
    ends = [positions[min(start + length, len(positions)) - 1] for start in starts]
    return ends, [median(values[start : start + length]) for start in starts]
