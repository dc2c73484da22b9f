"""The table of open requests: every way to close one frees it exactly once."""

from __future__ import annotations

import pytest

from service.engine.api.errors import DeadlineExceeded, Draining
from service.engine.api.observer import EndReason
from service.engine.api.tasks import Failed
from service.engine.scheduling.request_table import RequestTable
from service.engine.scheduling.sequence import Request


class Releases:
    """A table of three requests with deadlines of 1, 2 and no seconds, and what it released."""

    def __init__(self) -> None:
        self.released: list[tuple[object, EndReason]] = []
        self.table: RequestTable[Request] = RequestTable(self._release)
        self.requests = [Request([], deadline) for deadline in (1.0, 2.0, None)]
        for ticket, request in enumerate(self.requests):
            request.ticket = ticket
            self.table.add(request)

    def _release(self, request: Request, reason: EndReason) -> None:
        self.released.append((request.ticket, reason))


@pytest.fixture
def open_requests() -> Releases:
    """Three open requests."""
    return Releases()


def test_a_cancelled_request_has_no_event(open_requests: Releases) -> None:
    """A cancelled request is released once; an unknown or closed ticket is ignored."""
    table = open_requests.table
    for ticket in (1, 1, "unknown"):
        table.cancel(ticket)
    assert open_requests.released == [(1, "cancelled")]
    assert open_requests.requests[1] not in table
    assert open_requests.requests[0] in table


def test_a_failed_request_has_one_event(open_requests: Releases) -> None:
    """The event carries the ticket and the error, the release its reason."""
    error = DeadlineExceeded()
    events = open_requests.table.fail(open_requests.requests[0], error, "deadline")
    assert events == [(0, Failed(error))]
    assert open_requests.released == [(0, "deadline")]


def test_abandoning_fails_all(open_requests: Releases) -> None:
    """The table is empty afterwards."""
    assert open_requests.table
    events = open_requests.table.abandon(Draining())
    assert [ticket for ticket, _ in events] == [0, 1, 2]
    assert open_requests.released == [(0, "error"), (1, "error"), (2, "error")]
    assert not open_requests.table


def test_late_requests_are_those_past_their_deadline(open_requests: Releases) -> None:
    """A request without a deadline is never late."""
    late = [open_requests.table.late(now) for now in (0.5, 1.0, 1e9)]
    assert [[request.ticket for request in requests] for requests in late] == [[], [0], [0, 1]]
