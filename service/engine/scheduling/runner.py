"""The interface of a runner, which processes the requests of one model.

``prepare``, ``interrupt`` and ``admission`` are thread-safe. The other methods are called by the
thread that owns the engine's turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.engine.api.errors import EngineError
from service.engine.api.tasks import Event, Task
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.sequence import Request, Ticket

TicketEvents = list[tuple[Ticket, Event]]


class Runner(Protocol):
    """The queue and the rows of one model, until the last reference to it is dropped."""

    @property
    def name(self) -> str:
        """The name of the model."""

    @property
    def admission(self) -> Admission:
        """Counts the accepted sequences."""

    @property
    def busy(self) -> bool:
        """Whether there are open requests."""

    @property
    def ready(self) -> bool:
        """Whether :meth:`step` has work now: some open request is not held."""

    def prepare(self, task: Task) -> Request:
        """Check and tokenize a task. Raises InvalidTask and WrongKind."""

    def accept(self, request: Request) -> None:
        """Queue a prepared request whose slots are taken."""

    def cancel(self, ticket: Ticket) -> None:
        """Drop a request and free what it holds. Unknown tickets are ignored."""

    def hold(self, ticket: Ticket, *, held: bool) -> None:
        """Stop or resume the work on a request. Unknown tickets are ignored."""

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fail all requests with this error."""

    def drain(self) -> TicketEvents:
        """End all requests because the service is shutting down: generations where they stand,
        with the state that continues them, the others with Draining.
        """

    def seconds_for(self, requests: Sequence[Request]) -> float:
        """The estimated time until all of these are complete, if no others are open. Infinite if
        it is unknown, or if another thread than the engine's cannot run them.
        """

    def interrupt(self) -> None:
        """End the current turn, or the next one, early. Thread-safe."""

    def self_test(self) -> None:
        """Compare the kernel with the network, once and before the first request. Raises
        SelfTestError.
        """

    def step(self, *, alone: bool = True) -> TicketEvents:
        """One turn of work. Unless it is ``alone``, it is short enough that other models can wait
        for it.
        """
