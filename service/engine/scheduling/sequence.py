"""Requests and the sequences they consist of.

A sequence holds one row while it runs. When it is paused, it keeps its state and resumes later in
any row. It defines its own work and turns results into events.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import Literal, NamedTuple

from service.engine.api.observer import EndReason
from service.engine.api.tasks import Event
from service.engine.scheduling.scheduler import Phase, Schedulable
from service.kernel.api.interface import Kernel, RowResult, RowWork
from service.kernel.api.row_state import RowState

Ticket = Hashable


class RowSequence(Schedulable, ABC):
    """The part of a request that needs one row."""

    def __init__(self) -> None:
        super().__init__()
        self.ended_by: EndReason | None = None  # set by the sequence when it is complete
        self.counts = True  # whether metrics count it as a sequence
        self.prompt_read = 0  # prompt tokens read so far
        self.generated = 0  # tokens sampled so far
        self.last_token_at: float | None = None  # set by the runner, for the observer
        self.entered = False  # whether it has had a row
        self._kernel: Kernel  # set with its first row
        self._paused: RowState | None = None  # the state while it is preempted

    def enter(self, kernel: Kernel) -> None:
        """Start in the assigned row, or resume where the sequence was paused."""
        if self._paused is not None:
            kernel.restore(self.row, self._paused)
            self._paused = None
        else:
            self.entered, self._kernel = True, kernel
            self.start()

    def pause(self) -> None:
        """Save the state before the row is taken away."""
        self._paused = self._kernel.save(self.row)

    @property
    def state(self) -> RowState:
        """A copy of the state, with a row or while paused."""
        return self._kernel.save(self.row) if self._paused is None else self._paused

    def start(self) -> None:
        """Prepare its first row."""
        self._kernel.open(self.row)

    @property
    def urgent(self) -> bool:
        """Whether a client waits for its first result, so that it may run before others."""
        return False

    @property
    def searches(self) -> bool:
        """Whether it needs many calls of one step each, with decisions between them."""
        return False

    @abstractmethod
    def work(self, steps: int, max_samples: int) -> RowWork | None:
        """The work of the next call of up to ``steps`` steps and ``max_samples`` sampled tokens.
        None if there is nothing to do.
        """

    @abstractmethod
    def take(self, result: RowResult) -> list[Event]:
        """Process the result of that work. Sets ``ended_by`` when the sequence is complete."""

    @abstractmethod
    def expire(self) -> list[Event]:
        """End because the deadline has passed. The sequence may be paused, or not have started
        while others of its request have. Sets ``ended_by``.
        """

    @property
    def resumable(self) -> bool:
        """Whether :meth:`drain` can end it with something of use to its client."""
        return False

    def drain(self) -> list[Event]:
        """End because the service is shutting down. Sets ``ended_by``."""
        raise NotImplementedError


class AnswerSize(NamedTuple):
    """The largest possible answer of a request, in tokens and in log-probabilities.

    ``read`` and ``generated``: the most tokens of texts that it reads, and that it generates.
    """

    tokens: int
    logprobs: int
    read: int = 0
    generated: int = 0

    @property
    def work(self) -> int:
        """Tokens that it reads and generates."""
        return self.read + self.generated


_FEATURES_PER_TOKEN = 16
"""Numbers of an embedding that take the memory of a token's event."""


def embedding_size(texts: int, features: int) -> AnswerSize:
    """The size of an answer with an embedding of each text."""
    return AnswerSize(texts * (1 + features // _FEATURES_PER_TOKEN), 0)


class Request:
    """The sequences of one task, with its ticket, client, time of submission and deadline.

    Sequences get rows in their order; the one that others wait for is first.
    """

    def __init__(
        self,
        sequences: Sequence[RowSequence],
        deadline: float | None,
        answer: AnswerSize = AnswerSize(0, 0),  # noqa: B008
        steps: int | None = None,
    ) -> None:
        """``steps``: most steps that it takes with a row for each sequence; None if unknown."""
        self.sequences = sequences
        self.steps = steps
        self.answer = answer
        self.deadline_seconds = deadline
        self.held = False  # because its client does not read
        self.ticket: Ticket = None
        self.client = ""
        self.submitted = 0.0
        self.on_start: Callable[[], None] | None = None  # called when a member gets its first row

    @property
    def size(self) -> int:
        """The number of slots it takes."""
        return len(self.sequences)

    @property
    def kind(self) -> Literal["reads", "generates"]:
        """What most of its tokens are for."""
        return "reads" if self.answer.read > self.answer.generated else "generates"

    def start(self) -> None:
        """A member gets its first row."""
        if self.on_start is not None:
            self.on_start()

    @property
    def live(self) -> list[RowSequence]:
        """The sequences that have not ended."""
        return [sequence for sequence in self.sequences if sequence.live]

    @property
    def begun(self) -> bool:
        """Whether any sequence has had a row."""
        return any(sequence.phase is not Phase.WAITING for sequence in self.sequences)

    def is_late(self, now: float) -> bool:
        """Whether the deadline has passed."""
        return self.deadline_seconds is not None and now >= self.submitted + self.deadline_seconds
