"""Cancellation of work whose client has disconnected, within one step.

The server reports a disconnect through ``receive``, so a task listens there while a handler waits.
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
    """All events of a task. Raises the engine's refusal, and ClientGoneError after a disconnect."""
    reply = await engine.submit(task, whole=True)
    async with reply, cancelled_when_gone(reply, request.receive):
        events = await reply.answer()
        if reply.cancelled:  # leaving the block also cancels
            raise ClientGoneError
    return events


@asynccontextmanager
async def cancelled_when_gone(reply: Reply, receive: Receive) -> AsyncIterator[None]:
    """Cancel the reply when the client closes the connection within this context."""
    watcher = asyncio.create_task(_cancel_when_gone(reply, receive))
    try:
        yield
    finally:
        watcher.cancel()


async def _cancel_when_gone(reply: Reply, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reply.cancel()
