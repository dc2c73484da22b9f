"""The interface through which the engine reports its work, for example to metrics.

The thread that runs the engine's turn calls all methods except ``rejected``, which the submitting
thread calls. They must return quickly. Durations are in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from service.engine.api.errors import (
    ConstraintMemoryFull,
    DeadlineUnreachable,
    Draining,
    EngineError,
    InvalidConstraint,
    QueueFull,
    RateLimited,
)

RejectReason = Literal[
    "queue_full", "rate_limited", "deadline", "draining", "constraint", "constraint_memory"
]
EndReason = Literal["end", "length", "stop", "deadline", "drained", "cancelled", "error", "done"]
REJECT_REASONS: dict[type[EngineError], RejectReason] = {
    QueueFull: "queue_full",
    RateLimited: "rate_limited",
    DeadlineUnreachable: "deadline",
    Draining: "draining",
    InvalidConstraint: "constraint",
    ConstraintMemoryFull: "constraint_memory",
}
"""The refusals that are counted: those that depend on the load and not on the task, and constraints
that took time to refuse.
"""


class Observer:
    """Does nothing. Override the methods of interest."""

    def rejected(self, model: str, reason: RejectReason) -> None:
        """``submit`` refused a task."""

    def queued(self, model: str, seconds: float) -> None:
        """A sequence got a row after waiting this long."""

    def first_token(self, model: str, seconds: float) -> None:
        """A choice sampled its first token this long after submission."""

    def inter_token(self, model: str, seconds: float, count: int) -> None:
        """Choices sampled ``count`` further tokens, each this long after the one before it."""

    def steps(self, model: str, seconds: float, rows: Sequence[int]) -> None:
        """A burst of steps, or a slice of a classifier batch, took this long in all.

        ``rows``: for each step, the number of rows that took part; at least one step.
        """

    def tokens(self, model: str, prompt: int, generated: int) -> None:
        """The number of prompt tokens read and of tokens generated in one turn."""

    def cache_lookup(self, model: str, *, hit: bool) -> None:
        """A prompt was looked up in the prefix cache."""

    def cache_bytes(self, model: str, nbytes: int) -> None:
        """The memory that the prefix cache holds."""

    def load(self, model: str, running: int, waiting: int) -> None:
        """The number of sequences with a row and without one, whenever it may have changed."""

    def finished(self, model: str, reason: EndReason) -> None:
        """A sequence ended. ``done``: a score, a classification or a next word was returned."""
