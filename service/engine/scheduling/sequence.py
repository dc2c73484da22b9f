"""A request and the sequences it is made of: what each reads next, and what it makes of a result.

A sequence holds one row while it runs. When it is paused it keeps its state, which is all of its
memory, and goes on later in any row. It writes its own work and turns results into events; it knows
neither the queue nor the clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from model.state import State
from service.engine.api.observer import EndReason
from service.engine.api.tasks import Event
from service.engine.scheduling.scheduler import Phase, Schedulable
from service.kernel.api.interface import Kernel, RowResult, RowWork

Ticket = Hashable


class RowSequence(Schedulable, ABC):
    """One row's worth of a request."""

    def __init__(self) -> None:
        super().__init__()
        self.ended_by: EndReason | None = None  # set by the sequence itself, when it is complete
        self.counts = True  # whether it is a sequence of its own for whoever counts them
        self.prompt_read = 0  # tokens of the prompt read so far
        self.drawn = 0  # tokens drawn so far
        self.last_drawn_at: float | None = None  # kept by the runner, for the observer
        self.entered = False  # whether it has had a row
        self._kernel: Kernel  # once it has
        self._paused: State | None = None  # while it has none after having had one

    def enter(self, kernel: Kernel) -> None:
        """It has been given a row: it starts, or goes on where it was paused."""
        if self._paused is not None:
            kernel.restore(self.row, self._paused)
            self._paused = None
        else:
            self.entered, self._kernel = True, kernel
            self.start()

    def pause(self) -> None:
        """Its row is about to be taken away."""
        self._paused = self._kernel.save(self.row)

    @property
    def state(self) -> State:
        """A copy of its state, whether it has a row now or is paused."""
        return self._kernel.save(self.row) if self._paused is None else self._paused

    def start(self) -> None:
        """Prepares the row it has been given for the first time."""
        self._kernel.open(self.row)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for a first answer from it, so that it goes ahead of others."""
        return False

    @abstractmethod
    def work(self, steps: int, draws: int) -> RowWork | None:
        """What to do in the next call of up to ``steps`` steps, drawing ``draws`` tokens at most;
        None to sit it out.
        """

    @abstractmethod
    def take(self, result: RowResult) -> list[Event]:
        """Settles the result of that work. Sets ``ended_by`` when nothing is left to do."""

    @abstractmethod
    def expire(self) -> list[Event]:
        """The deadline has passed. It may be paused, or not have begun while others of its
        request have. Sets ``ended_by``.
        """


class AnswerSize(NamedTuple):
    """The largest answer that a request may have: its tokens, and its log-probabilities."""

    tokens: int
    logprobs: int


class Request:
    """A ticket, whose it is, when it came, when it must be over, and its sequences.

    Sequences are given rows in their order: what the others wait for comes first.
    """

    def __init__(
        self,
        sequences: Sequence[RowSequence],
        deadline: float | None,
        answer: AnswerSize = AnswerSize(0, 0),  # noqa: B008
    ) -> None:
        self.sequences = sequences
        self.answer = answer
        self.deadline_seconds = deadline
        self.ticket: Ticket = None
        self.client = ""
        self.submitted = 0.0

    @property
    def size(self) -> int:
        """How many places it takes."""
        return len(self.sequences)

    @property
    def live(self) -> list[RowSequence]:
        """Those that wait, run or are paused."""
        return [sequence for sequence in self.sequences if sequence.live]

    @property
    def begun(self) -> bool:
        """Whether any of them has had a row."""
        return any(sequence.phase is not Phase.WAITING for sequence in self.sequences)

    def is_late(self, now: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline_seconds is not None and now >= self.submitted + self.deadline_seconds


class PromptReader:
    """Hands out a list of tokens bit by bit, without copying all of it for every step."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = tokens
        self.read = 0

    @property
    def done(self) -> bool:
        """Whether all tokens were read."""
        return self.read == len(self.tokens)

    def window(self, steps: int) -> Sequence[int]:
        """The tokens of the next call: one more than it can read, for what scores the next."""
        return self.tokens[self.read : self.read + steps + 1]
