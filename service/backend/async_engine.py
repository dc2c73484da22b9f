"""The asynchronous interface of the engine; the only file with both the engine's thread and
asyncio.

The engine delivers all events of a turn in one call, which becomes one call into the event loop for
any number of requests.
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
"""Characters; longer texts are tokenized in a thread. Tokenizing this many takes about 1 ms."""
_STATE_SHARE = 16
"""A character of a state costs this many times less than a character of a text."""
_LAST_TURN_SECONDS = 1.0
_EVENT_BYTES = 200
_LOGPROB_BYTES = 150
"""Approximate memory of an event and of a log-probability until they have been sent."""


class AsyncEngine:
    """Submits tasks to an engine and delivers the events to the event loop."""

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
        """``stream_bytes``: buffer for a client that reads slowly; ``on_slow_reader`` is called
        when it is exceeded. ``answers_bytes``: memory of all answers that are incomplete or not
        yet read.
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
        """Start the engine; its events go to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._engine.start()

    async def submit(self, task: Task, *, whole: bool = False) -> Reply:
        """Submit a task. Raises the engine's refusal (an EngineError).

        ``whole``: the caller will read the reply with :meth:`Reply.answer`.
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
        except asyncio.CancelledError:  # the thread continues: cancel its submission afterwards
            submission.add_done_callback(lambda _: self._revoke(ticket, reply))
            raise

    def _revoke(self, ticket: Ticket, reply: Reply) -> None:
        self._engine.cancel(ticket)
        reply.cancel()

    def release(self, ticket: Ticket) -> None:
        """Free what a task holds, unless it has ended. Its later events are dropped."""
        if self._forget(ticket):
            self._engine.cancel(ticket)

    async def stop(self, grace_seconds: float) -> bool:
        """Refuse new tasks, let the others end within the time, then end the engine.

        Returns whether all of them ended. It waits in the event loop and not in a thread, which
        would block a second signal.
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
        """Seconds since the last turn of the step loop."""
        return self._engine.heartbeat_age()

    def _forget(self, ticket: Ticket) -> bool:
        was_open = self._replies.pop(ticket, None) is not None
        if not self._replies:
            self._idle.set()
        return was_open

    def _deliver(self, events: list[tuple[Ticket, Event]]) -> None:
        """Called in the engine's thread."""
        assert self._loop is not None, "the engine runs only after start()"
        try:
            self._loop.call_soon_threadsafe(self._dispatch, events)
        except RuntimeError:  # the loop is closed: the process is ending
            return

    def _dispatch(self, events: list[tuple[Ticket, Event]]) -> None:
        replies = self._replies
        for ticket, event in events:
            reply = replies.get(ticket)
            if reply is None:
                continue
            if event.final:
                self._forget(ticket)
            if not reply.put(event):
                logger.warning("a stream was cancelled: its client reads too slowly")
                self._on_slow_reader()
                self.release(ticket)


class Reply:
    """The events of one task, in order. Leaving its context cancels the task."""

    def __init__(self, engine: AsyncEngine, ticket: Ticket, *, limit: int | None) -> None:
        self._engine = engine
        self._ticket = ticket
        self._limit = limit
        self._events: list[Event] = []
        self._unread_bytes = 0
        self._reading = True  # whether a reader takes new events at once, of any size
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
        """End the task before its next step; a waiting reader gets no events."""
        self._engine.release(self._ticket)
        self._ended = self.cancelled = True
        if self._reserved is not None:
            budget, count, client = self._reserved
            self._reserved = None
            budget.release(count, client)
        self._wake()

    def admit(self, budget: AnswerMemoryBudget, count: int, client: str) -> None:
        """Reserve memory for the events until this reply is left. Raises QueueFull."""
        count = count if self._limit is None else min(count, self._limit)
        budget.reserve(count, client)
        self._reserved = budget, count, client

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
        return events

    async def answer(self) -> list[Event]:
        """All events up to the final one. Raises the EngineError of a failure."""
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
        """Add an event. Returns False if too much is unread and the task is to be cancelled. The
        unread events are then dropped and replaced by an error.
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
    """The approximate memory of an event. An echo is not counted, since the request bounds it."""
    if not isinstance(event, Token):
        return _EVENT_BYTES
    if event.token is not None:
        return _EVENT_BYTES + _LOGPROB_BYTES * (1 + len(event.token.top))
    return _EVENT_BYTES * max(1, len(event.texts))


def _text_length(task: Task) -> int:
    match task:
        case Generate():
            return len(task.prompt) + len(task.state or "") // _STATE_SHARE
        case NextWord():
            return len(task.prompt)
        case Score():
            return sum(map(len, task.texts))
        case Classify():
            return sum(map(len, task.texts)) + len(task.state or "") // _STATE_SHARE
