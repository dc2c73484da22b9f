"""What the engine asks of whatever runs a model's requests.

``prepare`` and ``admission`` are used from any thread, the rest from the engine's only.
"""

from __future__ import annotations

from typing import Protocol

from service.engine.api.errors import EngineError
from service.engine.api.tasks import Event, Task
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.sequence import Request, Ticket

TicketEvents = list[tuple[Ticket, Event]]


class Runner(Protocol):
    """One model's queue and rows."""

    @property
    def admission(self) -> Admission:
        """How many sequences it has taken in."""

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""

    def prepare(self, task: Task) -> Request:
        """Checks and tokenizes a task. Raises InvalidTask and WrongKind."""

    def accept(self, request: Request) -> None:
        """Puts a prepared request, whose places are taken, into the queue."""

    def cancel(self, ticket: Ticket) -> None:
        """Forgets a request and frees what it holds. Unknown tickets are ignored."""

    def abandon(self, error: EngineError) -> TicketEvents:
        """Ends everything there is with this error."""

    def hurry(self) -> None:
        """Ends the turn under way, or the next one, early: something waits. Any thread."""

    def step(self) -> TicketEvents:
        """One turn of work, short enough for others to wait for."""
