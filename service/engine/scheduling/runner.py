"""The interface of a runner, which processes the requests of one model.

``prepare``, ``interrupt`` and ``admission`` are thread-safe. The other methods run in the engine's
thread.
"""

from __future__ import annotations

from typing import Protocol

from service.engine.api.errors import EngineError
from service.engine.api.tasks import Event, Task
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.sequence import Request, Ticket

TicketEvents = list[tuple[Ticket, Event]]


class Runner(Protocol):
    """The queue and the rows of one model."""

    @property
    def admission(self) -> Admission:
        """Counts the accepted sequences."""

    @property
    def busy(self) -> bool:
        """Whether there are open requests."""

    def prepare(self, task: Task) -> Request:
        """Check and tokenize a task. Raises InvalidTask and WrongKind."""

    def accept(self, request: Request) -> None:
        """Queue a prepared request whose slots are taken."""

    def cancel(self, ticket: Ticket) -> None:
        """Drop a request and free what it holds. Unknown tickets are ignored."""

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fail all requests with this error."""

    def interrupt(self) -> None:
        """End the current turn, or the next one, early. Thread-safe."""

    def step(self, *, alone: bool = True) -> TicketEvents:
        """One turn of work. Unless it is ``alone``, it is short enough that other models can wait
        for it.
        """
