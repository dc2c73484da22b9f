"""The time of a token early and late in one sequence, through the kernel: what long context costs.

A recurrent state has a fixed size, so both should take as long. They are measured in turns, on
two rows of one kernel, each turn from the states saved there. Knows no HTTP.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.harness.statistics import median, ratio
from service.kernel.api.interface import Kernel, RowWork, Sampling

BURST = 8  # tokens of one call, as the service asks for them
BURSTS = 4  # of one turn
PARTS = 50  # of the sequence, for the line in the figure


@dataclass(frozen=True)
class Walk:
    """How long tokens took, in seconds per token: early, late, and part by part on the way.

    ``places`` are the tokens at which the parts end.
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
        """1 is a constant cost."""
        return ratio(self.late_seconds, self.early_seconds)


class Drawing:
    """One row that draws on and on, and can be taken back to where it was marked."""

    def __init__(self, kernel: Kernel, row: int) -> None:
        self._kernel = kernel
        sampling = Sampling(seed=1, logprob=False)
        self._work = RowWork(row=row, feed=[1], draw=BURST, sampling=sampling)
        kernel.open(row)

    @property
    def place(self) -> int:
        """Tokens drawn so far."""
        return self._work.position

    def burst(self) -> float:
        """Seconds per token of one call."""
        begin = time.perf_counter()
        (result,) = self._kernel.run([self._work], BURST)
        seconds = time.perf_counter() - begin
        self._work.feed = [result.drawn[-1].token]
        self._work.position += BURST
        return seconds / BURST

    def walk(self, place: int) -> list[float]:
        """Seconds per token of every burst on the way to that token."""
        found = []
        while self.place < place:
            found.append(self.burst())
        return found

    def mark(self) -> None:
        """Remembers where it is."""
        self._marked = self._kernel.save(self._work.row), self._work.feed, self._work.position

    def go_back(self) -> None:
        """To where it was marked."""
        state, self._work.feed, self._work.position = self._marked
        self._kernel.restore(self._work.row, state)


def walk_kernel(name: str, kernel: Kernel, *, early: int, late: int, turns: int) -> Walk:
    """Draws ``late`` tokens, then times the tokens after ``early`` and after ``late`` in turns."""
    near, far = Drawing(kernel, 0), Drawing(kernel, 1)
    near.walk(early)
    near.mark()
    on_the_way = far.walk(late)
    far.mark()
    times: dict[Drawing, list[float]] = {near: [], far: []}
    for _ in range(turns):
        for drawing, found in times.items():
            drawing.go_back()
            found += [drawing.burst() for _ in range(BURSTS)]
    places, parts = in_parts([BURST * (count + 1) for count in range(len(on_the_way))], on_the_way)
    return Walk(name, early, late, median(times[near]), median(times[far]), places, parts)


def in_parts(places: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """About PARTS of them: where each part ends, and the median of its values."""
    length = -(-len(values) // PARTS) or 1
    parts = range(0, len(values), length)
    ends = [places[min(begin + length, len(places)) - 1] for begin in parts]
    return ends, [median(values[begin : begin + length]) for begin in parts]
