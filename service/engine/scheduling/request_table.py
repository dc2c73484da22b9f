"""The open requests of a runner, by ticket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from service.engine.api.errors import EngineError
from service.engine.api.observer import EndReason
from service.engine.api.tasks import Failed
from service.engine.scheduling.runner import TicketEvents
from service.engine.scheduling.sequence import Request, Ticket

OpenRequest = TypeVar("OpenRequest", bound=Request)


class RequestTable(Generic[OpenRequest]):
    """Requests that have no final event yet. ``release`` frees what a closed request holds."""

    def __init__(self, release: Callable[[OpenRequest, EndReason], None]) -> None:
        self._release = release
        self._requests: dict[Ticket, OpenRequest] = {}

    def __bool__(self) -> bool:
        return bool(self._requests)

    def __contains__(self, request: OpenRequest) -> bool:
        return self._requests.get(request.ticket) is request

    def __getitem__(self, ticket: Ticket) -> OpenRequest:
        return self._requests[ticket]

    def get(self, ticket: Ticket) -> OpenRequest | None:
        """The open request of a ticket; None if there is none."""
        return self._requests.get(ticket)

    @property
    def sequence_count(self) -> int:
        """The number of slots that the open requests take."""
        return sum(request.size for request in self._requests.values())

    @property
    def open(self) -> list[OpenRequest]:
        """All requests."""
        return list(self._requests.values())

    def add(self, request: OpenRequest) -> None:
        """Adds a request under its ticket."""
        self._requests[request.ticket] = request

    def late(self, now: float) -> list[OpenRequest]:
        """The requests whose deadline has passed."""
        return [request for request in self._requests.values() if request.is_late(now)]

    def close(self, request: OpenRequest, reason: EndReason) -> None:
        """Removes a request and frees what it holds."""
        del self._requests[request.ticket]
        self._release(request, reason)

    def cancel(self, ticket: Ticket) -> None:
        """Closes a request without an event. An unknown ticket is ignored."""
        request = self._requests.get(ticket)
        if request is not None:
            self.close(request, "cancelled")

    def fail(
        self, request: OpenRequest, error: EngineError, reason: EndReason = "error"
    ) -> TicketEvents:
        """Closes a request with a ``Failed`` event."""
        self.close(request, reason)
        return [(request.ticket, Failed(error))]

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fails all requests."""
        return [event for request in self.open for event in self.fail(request, error)]
