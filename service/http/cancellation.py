"""Clients that go away: their work ends within one step.

The server tells of it through ``receive``; whoever waits for an answer has someone listen there.
Knows no routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.types import Receive

from service.backend.async_engine import AsyncEngine, Reply
from service.engine.api.tasks import Event, Task
from service.http.errors import ClientGoneError


async def run_task(engine: AsyncEngine, request: Request, task: Task) -> list[Event]:
    """All events of a task. Raises the engine's refusal; ClientGoneError once it is cancelled."""
    reply = await engine.submit(task, whole=True)
    async with reply, cancelled_when_gone(reply, request.receive):
        events = await reply.answer()
        if reply.cancelled:  # leaving the block cancels, too
            raise ClientGoneError
    return events


@asynccontextmanager
async def cancelled_when_gone(reply: Reply, receive: Receive) -> AsyncIterator[None]:
    """Cancels the reply as soon as the client closes the connection, while inside."""
    watcher = asyncio.create_task(_cancel_when_gone(reply, receive))
    try:
        yield
    finally:
        watcher.cancel()


async def _cancel_when_gone(reply: Reply, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reply.cancel()
