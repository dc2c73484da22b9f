"""The body limit: sizes and times of bodies, announced and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.http.errors import ClientGoneError
from service.http.request_body import BodyLimitMiddleware

LIMIT = 10
DISCONNECT: Message = {"type": "http.disconnect"}


def parts(*bodies: bytes) -> list[Message]:
    """A request's messages, one for each part of its body."""
    return [
        {"type": "http.request", "body": body, "more_body": index < len(bodies)}
        for index, body in enumerate(bodies, start=1)
    ]


class App:
    """Records the messages that it receives until the disconnect."""

    def __init__(self) -> None:
        self.received: list[Message] = []

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        while not self.received or self.received[-1] != DISCONNECT:
            self.received.append(await receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})


def run(
    messages: Sequence[Message], *, length: int | None = None, seconds: float = 60.0
) -> tuple[int, list[Message]]:
    """The status and what the app received. A client without messages left sends nothing."""
    app, statuses, pending = App(), list[int](), list(messages)

    async def receive() -> Message:
        if not pending:
            await asyncio.Event().wait()
        return pending.pop(0)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [] if length is None else [(b"content-length", str(length).encode())]
    scope = {"type": "http", "method": "POST", "headers": headers}
    middleware = BodyLimitMiddleware(app, limit=LIMIT, seconds=seconds)
    asyncio.run(middleware(scope, receive, send))
    (status,) = statuses
    return status, app.received


def test_a_body_within_the_limit_is_passed_on_whole() -> None:
    """The parts are joined, and the messages after the body follow it."""
    status, received = run([*parts(b"12345", b"", b"67890"), DISCONNECT])
    assert status == 200
    assert received == [*parts(b"1234567890"), DISCONNECT]


@pytest.mark.parametrize("bodies", [(b"12345678901",), (b"1234567890", b"1")])
def test_a_body_over_the_limit_is_refused(bodies: tuple[bytes, ...]) -> None:
    """The received bytes count, in one part or several."""
    assert run(parts(*bodies)) == (413, [])


def test_an_announced_length_over_the_limit_is_refused_unread() -> None:
    """The client need not send a body whose Content-Length is too large."""
    assert run([], length=LIMIT + 1) == (413, [])


def test_a_slow_body_is_refused() -> None:
    """A body that is incomplete after the time limit gets 408."""
    incomplete = parts(b"1", b"2")[:1]
    assert run(incomplete, seconds=0.01) == (408, [])


def test_a_disconnect_within_the_body_ends_the_request() -> None:
    """The app does not run for a client that has gone."""
    with pytest.raises(ClientGoneError):
        run([*parts(b"1", b"2")[:1], DISCONNECT])
