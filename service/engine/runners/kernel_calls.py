"""The work of one call of a language model's kernel, and the steps that it took.

A call advances all rows together, one token a step. A row reads the tokens of its work and then
those that it samples, except the last one, which the next call reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.engine.scheduling.sequence import RowSequence
from service.kernel.api.interface import RowResult, RowWork

Job = tuple[RowSequence, RowWork]


def rows_in_steps(results: Sequence[RowResult]) -> list[int]:
    """The number of rows that took part in each step of a burst. The token sampled last is not
    read, so it takes no step of its own.
    """
    steps = [result.read + max(len(result.tokens) - 1, 0) for result in results]
    return [sum(taken > step for taken in steps) for step in range(max(*steps, 1))]


def steps_of(results: Sequence[RowResult | None]) -> int:
    """The steps of the call with these results; at least one."""
    read = (result for result in results if result is not None)
    return max((result.read + max(len(result.tokens) - 1, 0) for result in read), default=1) or 1


def jobs_of(sequences: Sequence[RowSequence], steps: int, max_samples: int) -> list[Job]:
    """The sequences that have work now, with their work."""
    return [
        (sequence, work)
        for sequence in sequences
        if (work := sequence.work(steps, max_samples)) is not None
    ]
