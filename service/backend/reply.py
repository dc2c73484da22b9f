"""The events of one task, for the route that reads them. For use in the event loop's thread."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol, Self

from service.backend.answer_memory import AnswerMemoryBudget
from service.clients.rate_limits import RateLimits, TokenCharge
from service.engine.api.errors import Draining, SlowReaderError
from service.engine.api.tasks import Event, Failed, Finished, Token
from service.engine.scheduling.sequence import AnswerSize, Ticket
from service.telemetry.tracing import TaskTrace

EVENT_BYTES = 200
LOGPROB_BYTES = 150
"""Approximate memory of an event and of a log-probability until they have been sent."""


class TaskControl(Protocol):
    """What a reply asks of :class:`service.backend.async_engine.AsyncEngine`."""

    def release(self, ticket: Ticket) -> None:
        """Free what a task holds, unless it has ended."""

    def hold(self, ticket: Ticket, reply: Reply) -> asyncio.TimerHandle:
        """Hold a task until :meth:`resume`. It fails if that takes too long."""

    def resume(self, ticket: Ticket) -> None:
        """Let a task go on."""


class Reply:
    """The events of one task, in order. Leaving its context cancels the task."""

    def __init__(self, engine: TaskControl, ticket: Ticket, *, limit: int | None) -> None:
        self._engine = engine
        self._ticket = ticket
        self._limit = limit
        self._events: list[Event] = []
        self._unread_bytes = 0
        self._reading = True  # whether a reader takes new events at once, of any size
        self._hold: asyncio.TimerHandle | None = None  # while the task is held
        self._reserved: tuple[AnswerMemoryBudget, int, str] | None = None
        self._charge: TokenCharge | None = None
        self._shown = self._finished = 0  # tokens of events, and of choices that have ended
        self.admitted = False
        self._ended = False
        self._first_turn_ended = False
        self._awaits_first_turn = False
        self.cancelled = False
        self.trace: TaskTrace | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def cancel(self) -> None:
        """End the task before its next step; a waiting reader gets no events."""
        self._engine.release(self._ticket)
        self._stop_timer()
        self._ended = self.cancelled = True
        if self.trace is not None:
            self.trace.end()
        if self._reserved is not None:
            budget, count, client = self._reserved
            self._reserved = None
            budget.release(count, client)
        if self._charge is not None:
            self._charge.settle(max(self._shown, self._finished) if self.admitted else None)
            self._charge = None
        self._wake()

    def admit(self, budget: AnswerMemoryBudget, count: int, client: str) -> None:
        """Reserve memory for the events until this reply is left. Raises QueueFull."""
        count = count if self._limit is None else min(count, self._limit)
        budget.reserve(count, client)
        self._reserved = budget, count, client

    def charge(self, rates: RateLimits, size: AnswerSize, client: str) -> None:
        """Charge the most tokens that the task may use; those that it did not use are returned
        when this reply is left. Raises RateLimited.
        """
        self._charge = rates.charge(client, size.read, size.generated)

    async def events(self, quiet_seconds: float) -> list[Event]:
        """All events since the last call; waits up to ``quiet_seconds`` for the first one.

        Empty if there were none, and after the task was cancelled.
        """
        self._reading = True
        if not self._events and not self._ended:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_later(quiet_seconds, self._wake)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        events, self._events = self._events, []
        self._unread_bytes = 0
        self._reading = False
        if self._stop_timer() and not self._ended:
            self._engine.resume(self._ticket)
        return events

    async def answer(self) -> list[Event]:
        """All events up to the final one. Raises the EngineError of a failure."""
        while not self._ended:
            await self._next_wake()
        last = self._events[-1] if self._events else None
        if isinstance(last, Failed):
            raise last.error
        if any(isinstance(event, Finished) and event.reason == "drained" for event in self._events):
            raise Draining  # a part of an answer is of no use to its reader
        return self._events

    async def first_turn(self) -> bool:
        """Wait until the event loop has run the task, or has left it to the engine's thread.
        Returns whether the task has ended.
        """
        if not (self._ended or self._first_turn_ended):
            self._awaits_first_turn = True
            await self._next_wake()
        return self._ended

    def end_first_turn(self) -> None:
        """Called when the event loop does nothing more for the task itself."""
        self._first_turn_ended = True
        if self._awaits_first_turn:
            self._awaits_first_turn = False
            self._wake()

    def put(self, event: Event) -> None:
        """Add an event. The task is held while too much is unread."""
        self._count(event)
        if self.trace is not None:
            self.trace.event(final=event.final)
        self._events.append(event)
        self._ended = event.final
        if self._limit is not None:
            self._unread_bytes += _bytes_of(event)
            full = self._unread_bytes > self._limit and not self._reading
            if full and self._hold is None and not self._ended:
                self._hold = self._engine.hold(self._ticket, self)
        if self._ended or self._limit is not None:
            self._wake()

    def cut(self, error: SlowReaderError) -> None:
        """Replace the unread events by an error."""
        self._events = [Failed(error)]
        self._ended = True
        self._wake()

    def _stop_timer(self) -> bool:
        """Returns whether the task was held."""
        held, self._hold = self._hold, None
        if held is not None:
            held.cancel()
        return held is not None

    def _count(self, event: Event) -> None:
        if isinstance(event, Token):
            self._shown += len(event.texts) or 1
        elif isinstance(event, Finished):
            self._finished += event.completion_tokens

    async def _next_wake(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _bytes_of(event: Event) -> int:
    """The approximate memory of an event. An echo is not counted, since the request bounds it."""
    if not isinstance(event, Token):
        return EVENT_BYTES
    if event.token is not None:
        return EVENT_BYTES + LOGPROB_BYTES * (1 + len(event.token.top))
    return EVENT_BYTES * max(1, len(event.texts))
