"""What the engine tells about itself while it works. Knows no metrics library.

All methods are called in the engine's thread (``rejected`` in the submitting one) and must be
quick. Durations are seconds.
"""

from __future__ import annotations

from typing import Literal

RejectReason = Literal["queue_full", "draining"]
EndReason = Literal["end", "length", "stop", "deadline", "cancelled", "error", "done"]


class Observer:
    """Hears everything and does nothing. Override what is of interest."""

    def rejected(self, model: str, reason: RejectReason) -> None:
        """A task was refused by ``submit``."""

    def queued(self, model: str, seconds: float) -> None:
        """A sequence left the waiting queue for a row, after this long."""

    def first_token(self, model: str, seconds: float) -> None:
        """A choice drew its first token, this long after submission."""

    def inter_token(self, model: str, seconds: float) -> None:
        """A choice drew a further token, this long after the one before."""

    def step(self, model: str, seconds: float, rows: int) -> None:
        """One step (or slice of a classifier batch) over so many rows took this long.

        Told once for each burst of steps, with their mean.
        """

    def tokens(self, model: str, prompt: int, generated: int) -> None:
        """So many tokens of prompts or texts were read, and so many drawn, in one turn."""

    def cache_lookup(self, model: str, *, hit: bool) -> None:
        """A prompt was looked up in the state cache."""

    def cache_bytes(self, model: str, nbytes: int) -> None:
        """So much memory the state cache holds now."""

    def load(self, model: str, running: int, waiting: int) -> None:
        """How many sequences hold a row and how many wait; told whenever it may have changed."""

    def finished(self, model: str, reason: EndReason) -> None:
        """A sequence ended. ``done``: a score, a classification or a next word was answered."""
