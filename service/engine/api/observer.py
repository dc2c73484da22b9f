"""The interface through which the engine reports its work, for example to metrics.

The engine's thread calls all methods except ``rejected``, which the submitting thread calls. They
must return quickly. Durations are in seconds.
"""

from __future__ import annotations

from typing import Literal

RejectReason = Literal["queue_full", "draining"]
EndReason = Literal["end", "length", "stop", "deadline", "cancelled", "error", "done"]


class Observer:
    """Does nothing. Override the methods of interest."""

    def rejected(self, model: str, reason: RejectReason) -> None:
        """``submit`` refused a task."""

    def queued(self, model: str, seconds: float) -> None:
        """A sequence got a row after waiting this long."""

    def first_token(self, model: str, seconds: float) -> None:
        """A choice sampled its first token this long after submission."""

    def inter_tokens(self, model: str, seconds: float, count: int) -> None:
        """A choice sampled ``count`` further tokens, each this long after the one before."""

    def step(self, model: str, seconds: float, rows: int) -> None:
        """A step, or a classifier batch, over ``rows`` rows took this long.

        Called once for each burst of steps, with their mean duration.
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
