"""Cancellation of work whose client has disconnected, within one step.

The server reports a disconnect through ``receive``, so a task listens there while a handler waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from service.backend.async_engine import Reply


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
