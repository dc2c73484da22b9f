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
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Self

from service.backend.answer_memory import AnswerMemoryBudget
from service.backend.workers import WorkerPool
from service.clients.rate_limits import RateLimits, TokenCharge
from service.engine.api.errors import Draining, EngineError, SlowReaderError
from service.engine.api.observer import Observer
from service.engine.api.tasks import (
    Classify,
    Embed,
    Event,
    Failed,
    Finished,
    Generate,
    NextWord,
    Score,
    Task,
    Token,
)
from service.engine.runners.engine import AnswerSize, Engine, EngineOptions, Ticket
from service.telemetry.request_record import CURRENT
from service.telemetry.tracing import TaskTrace

if TYPE_CHECKING:
    from model.artifact import Artifact
    from service.engine.scheduling.runner import Runner

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
        *,
        options: EngineOptions,
        observer: Observer,
        workers: WorkerPool,
        stream_bytes: int,
        pause_seconds: float,
        answers_bytes: int,
        rates: RateLimits,
        on_slow_reader: Callable[[], None],
    ) -> None:
        """``stream_bytes``: buffer of a stream; a task whose buffer is full is held, and after
        ``pause_seconds`` it is cancelled and ``on_slow_reader`` is called. ``answers_bytes``:
        memory of all answers that are incomplete or not yet read. ``rates``: charges the tokens of
        each task to its client.
        """
        self._engine = Engine({}, self._deliver, options=options, observer=observer)
        self._workers = workers
        self._stream_bytes = stream_bytes
        self._pause_seconds = pause_seconds
        self._answers = AnswerMemoryBudget(answers_bytes)
        self._rates = rates
        self._on_slow_reader = on_slow_reader
        self._tickets = itertools.count()
        self._replies: dict[Ticket, Reply] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: EngineError | None = None

    def start(self) -> None:
        """Start the engine; its events go to the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._engine.start()

    async def submit(self, task: Task, *, whole: bool = False) -> Reply:
        """Submit a task. Raises the engine's refusal (an EngineError).

        ``whole``: the caller will read the reply with :meth:`Reply.answer`.
        """
        if self._failure is not None:
            raise self._failure
        ticket = next(self._tickets)
        reply = Reply(self, ticket, limit=None if whole else self._stream_bytes)
        self._replies[ticket] = reply
        record = CURRENT.get()
        if record is not None and record.trace is not None:
            reply.trace = TaskTrace(record.trace, task.model)
        self._idle.clear()
        try:
            if _text_length(task) > _LONG_TEXT:
                await self._submit_in_thread(task, ticket, reply)
            else:
                self._submit(task, ticket, reply)
            reply.admitted = True
        except BaseException:
            reply.trace = None
            reply.cancel()
            raise
        if record is not None:
            record.model = task.model
        return reply

    def _submit(self, task: Task, ticket: Ticket, reply: Reply) -> None:
        def admit(size: AnswerSize) -> None:
            count = size.tokens * _EVENT_BYTES + size.logprobs * _LOGPROB_BYTES
            reply.admit(self._answers, count, task.client)
            reply.charge(self._rates, size, task.client)

        on_start = None if reply.trace is None else reply.trace.start
        self._engine.submit(task, ticket, admit, on_start)

    async def _submit_in_thread(self, task: Task, ticket: Ticket, reply: Reply) -> None:
        cost = float(_text_length(task))
        submission = self._workers.start(task.client, cost, self._submit, task, ticket, reply)
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

    def build(self, name: str, artifact: Artifact) -> Runner:
        """A runner for a model, which is not served yet. Takes seconds; call it in a thread."""
        return self._engine.build(name, artifact)

    def serve(self, runner: Runner) -> None:
        """Give new requests for the model to this runner; open ones end where they began."""
        self._engine.serve(runner)

    def remove(self, name: str) -> None:
        """Serve no new requests for a model; open ones end normally."""
        self._engine.remove(name)

    @property
    def retiring(self) -> Collection[str]:
        """The names of replaced and removed models that still have open requests."""
        return self._engine.retiring

    def fail(self, error: EngineError) -> None:
        """End all open requests with this error and refuse new ones with it: the engine no longer
        works.
        """
        self._failure = error
        for ticket, reply in list(self._replies.items()):
            self._forget(ticket)
            reply.put(Failed(error))

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
        await asyncio.sleep(0)  # the last events of the engine are dispatched
        self.fail(Draining())  # there are requests left only if its thread hangs
        return ended

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
            reply.put(event)

    def hold(self, ticket: Ticket, reply: Reply) -> asyncio.TimerHandle:
        """Hold a task until :meth:`resume`. It fails if that takes too long."""
        self._engine.hold(ticket, held=True)
        loop = asyncio.get_running_loop()
        return loop.call_later(self._pause_seconds, self._cut, ticket, reply)

    def resume(self, ticket: Ticket) -> None:
        """Let a task go on."""
        self._engine.hold(ticket, held=False)

    def _cut(self, ticket: Ticket, reply: Reply) -> None:
        logger.warning("a stream was cancelled: its client reads too slowly")
        self._on_slow_reader()
        self.release(ticket)
        reply.cut(SlowReaderError(self._stream_bytes, self._pause_seconds))


class Reply:
    """The events of one task, in order. Leaving its context cancels the task."""

    def __init__(self, engine: AsyncEngine, ticket: Ticket, *, limit: int | None) -> None:
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
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        last = self._events[-1] if self._events else None
        if isinstance(last, Failed):
            raise last.error
        if any(isinstance(event, Finished) and event.reason == "drained" for event in self._events):
            raise Draining  # a part of an answer is of no use to its reader
        return self._events

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
            self._shown += 1
        elif isinstance(event, Finished):
            self._finished += event.completion_tokens

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _bytes_of(event: Event) -> int:
    """The approximate memory of an event. An echo is not counted, since the request bounds it."""
    if isinstance(event, Token) and event.token is not None:
        return _EVENT_BYTES + _LOGPROB_BYTES * (1 + len(event.token.top))
    return _EVENT_BYTES


def _text_length(task: Task) -> int:
    match task:
        case Generate():
            prompts = sum(map(len, (task.prompt, *task.more_prompts)))
            return prompts + len(task.state or "") // _STATE_SHARE
        case NextWord():
            return len(task.prompt)
        case Score() | Embed():
            return sum(map(len, task.texts))
        case Classify():
            return sum(map(len, task.texts)) + len(task.state or "") // _STATE_SHARE
