"""Between the engine's thread and asyncio; the only file that knows both.

The engine hands over all events of a turn in one call, which becomes one call into the event
loop, whatever the number of requests in it. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from service.backend.answer_memory import AnswerMemoryBudget
from service.backend.workers import WorkerPool
from service.engine.api.errors import SlowReaderError
from service.engine.api.observer import Observer
from service.engine.api.tasks import (
    Classify,
    Event,
    Failed,
    Generate,
    NextWord,
    Score,
    Task,
    Token,
)
from service.engine.runners.engine import AnswerSize, Engine, EngineOptions, Ticket

if TYPE_CHECKING:
    from model.artifact import Artifact

logger = logging.getLogger(__name__)
_LONG_TEXT = 4_000
"""Characters over which tokenizing would hold up the other streams: about a millisecond."""
_STATE_SHARE = 16
"""How much cheaper a character of a state is to read than one of a text."""
_LAST_TURN_SECONDS = 1.0
_EVENT_BYTES = 200
_LOGPROB_BYTES = 150
"""What a token and a log-probability take in memory, about, until they have been sent."""


class AsyncEngine:
    """Submits tasks to an engine of its own and brings the events back to the event loop."""

    def __init__(
        self,
        models: Mapping[str, Artifact],
        *,
        options: EngineOptions,
        observer: Observer,
        workers: WorkerPool,
        stream_bytes: int,
        answers_bytes: int,
        on_slow_reader: Callable[[], None],
    ) -> None:
        """``stream_bytes``: kept for a client that reads slowly; ``on_slow_reader`` is called where
        it is not enough. ``answers_bytes``: for all answers that are being made or not yet read.
        """
        self._engine = Engine(models, self._deliver, options=options, observer=observer)
        self._workers = workers
        self._stream_bytes = stream_bytes
        self._answers = AnswerMemoryBudget(answers_bytes)
        self._on_slow_reader = on_slow_reader
        self._tickets = itertools.count()
        self._replies: dict[Ticket, Reply] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Starts the engine; its events go to the running loop."""
        self._loop = asyncio.get_running_loop()
        self._engine.start()

    async def submit(self, task: Task, *, whole: bool = False) -> Reply:
        """Hands a task to the engine, or raises its refusal (an EngineError).

        ``whole``: the reply will be read with :meth:`Reply.answer`, all at once.
        """
        ticket = next(self._tickets)
        reply = Reply(self, ticket, limit=None if whole else self._stream_bytes)
        self._replies[ticket] = reply
        self._idle.clear()
        try:
            if _text_length(task) > _LONG_TEXT:
                await self._submit_in_thread(task, ticket, reply)
            else:
                self._submit(task, ticket, reply)
        except BaseException:
            reply.cancel()
            raise
        return reply

    def _submit(self, task: Task, ticket: Ticket, reply: Reply) -> None:
        def admit(size: AnswerSize) -> None:
            count = size.tokens * _EVENT_BYTES + size.logprobs * _LOGPROB_BYTES
            reply.admit(self._answers, count, task.client)

        self._engine.submit(task, ticket, admit)

    async def _submit_in_thread(self, task: Task, ticket: Ticket, reply: Reply) -> None:
        submission = self._workers.start(self._submit, task, ticket, reply)
        try:
            await asyncio.shield(submission)
        except asyncio.CancelledError:  # the thread goes on: take back what it will have submitted
            submission.add_done_callback(lambda _: self._take_back(ticket, reply))
            raise

    def _take_back(self, ticket: Ticket, reply: Reply) -> None:
        self._engine.cancel(ticket)
        reply.cancel()

    def release(self, ticket: Ticket) -> None:
        """Frees what a task holds, unless it has ended. Its events are dropped from now on."""
        if self._forget(ticket):
            self._engine.cancel(ticket)

    async def stop(self, grace_seconds: float) -> bool:
        """Takes no new tasks, lets the others end within the time, then ends the engine.

        True if all of them did. The waiting is done here, not in a thread that a second signal
        would have to wait for.
        """
        self._engine.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                await self._idle.wait()
        ended = self._idle.is_set()
        self._workers.stop()
        await asyncio.to_thread(self._engine.stop, _LAST_TURN_SECONDS if ended else 0.0)
        return ended

    @property
    def models(self) -> Collection[str]:
        """The names of the models that the engine could set up."""
        return self._engine.models

    @property
    def draining(self) -> bool:
        """Whether new tasks are refused."""
        return self._engine.draining

    def heartbeat_age(self) -> float:
        """Seconds since the step loop last moved."""
        return self._engine.heartbeat_age()

    def _forget(self, ticket: Ticket) -> bool:
        known = self._replies.pop(ticket, None) is not None
        if not self._replies:
            self._idle.set()
        return known

    def _deliver(self, events: list[tuple[Ticket, Event]]) -> None:
        """In the engine's thread."""
        assert self._loop is not None, "the engine runs only after start()"
        try:
            self._loop.call_soon_threadsafe(self._hand_out, events)
        except RuntimeError:  # the loop is closed: the process is ending and nobody listens
            return

    def _hand_out(self, events: list[tuple[Ticket, Event]]) -> None:
        replies = self._replies
        for ticket, event in events:
            reply = replies.get(ticket)
            if reply is None:
                continue
            if event.final:
                self._forget(ticket)
            if not reply.put(event):
                logger.warning("a stream was given up: its client reads too slowly")
                self._on_slow_reader()
                self.release(ticket)


class Reply:
    """The events of one task, in order, as they come. Leaving its context cancels the task."""

    def __init__(self, engine: AsyncEngine, ticket: Ticket, *, limit: int | None) -> None:
        self._bridge = engine
        self._ticket = ticket
        self._limit = limit
        self._events: list[Event] = []
        self._unread_bytes = 0
        self._reading = True  # whether what comes now is taken at once, however much it is
        self._reserved: tuple[AnswerMemoryBudget, int, str] | None = None
        self._ended = False
        self.cancelled = False
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
        """Ends the task before its next step; who waits for events gets none."""
        self._bridge.release(self._ticket)
        self._ended = self.cancelled = True
        if self._reserved is not None:
            ledger, count, client = self._reserved
            self._reserved = None
            ledger.give_back(count, client)
        self._wake()

    def admit(self, ledger: AnswerMemoryBudget, count: int, client: str) -> None:
        """Reserves what the events may take until this reply is left. Raises QueueFull."""
        count = count if self._limit is None else min(count, self._limit)
        ledger.take(count, client)
        self._reserved = ledger, count, client

    async def events(self, quiet_seconds: float) -> list[Event]:
        """All that came since the last call; waits so long for the first one.

        Empty when nothing came, and once the task has been cancelled.
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
        return events

    async def answer(self) -> list[Event]:
        """Everything up to the final event. Raises the EngineError of a failure."""
        while not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        last = self._events[-1] if self._events else None
        if isinstance(last, Failed):
            raise last.error
        return self._events

    def put(self, event: Event) -> bool:
        """Takes an event; False when too much is unread and the task is not worth going on. What is
        unread is dropped then, and an error takes its place.
        """
        fits = True
        if self._limit is not None:
            self._unread_bytes += _bytes_of(event)
            fits = self._reading or self._unread_bytes <= self._limit
        if not fits and self._limit is not None:
            event = Failed(SlowReaderError(self._limit))
            self._events.clear()
        self._events.append(event)
        self._ended = event.final
        if self._ended or self._limit is not None:
            self._wake()
        return fits

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _bytes_of(event: Event) -> int:
    """About; an echo is not counted, since the request bounds it."""
    if isinstance(event, Token) and event.token is not None:
        return _EVENT_BYTES + _LOGPROB_BYTES * (1 + len(event.token.top))
    return _EVENT_BYTES


def _text_length(task: Task) -> int:
    match task:
        case Generate():
            return len(task.prompt) + len(task.state or "") // _STATE_SHARE
        case NextWord():
            return len(task.prompt)
        case Score() | Classify():
            return sum(map(len, task.texts))
