"""The asynchronous interface of the engine; the only file with both the engine's thread and
asyncio.

Tasks that were submitted within one iteration of the event loop are run together at its end, in the
event loop's thread if the engine is idle and they are short, otherwise in the engine's thread. That
thread delivers all events of a turn in one call, which becomes one call into the event loop for any
number of requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import itertools
import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from service.backend.answer_memory import AnswerMemoryBudget
from service.backend.reply import EVENT_BYTES, LOGPROB_BYTES, Reply
from service.backend.workers import WorkerPool
from service.clients.rate_limits import RateLimits
from service.engine.api.errors import Draining, EngineError, SlowReaderError
from service.engine.api.observer import Observer
from service.engine.api.tasks import (
    Classify,
    Embed,
    Event,
    Failed,
    Generate,
    NextWord,
    Score,
    Task,
)
from service.engine.runners.engine import AnswerSize, Engine, EngineOptions, Ticket
from service.telemetry.request_record import CURRENT
from service.telemetry.tracing import TaskTrace

if TYPE_CHECKING:
    from model.storage.stored_artifact import StoredArtifact
    from service.engine.scheduling.runner import Runner

__all__ = ["AsyncEngine", "Reply"]

logger = logging.getLogger(__name__)
_LONG_TEXT = 4_000
"""Characters; longer texts are tokenized in a thread. Tokenizing this many takes about 1 ms."""
_STATE_SHARE = 16
"""A character of a state costs this many times less than a character of a text."""
_LAST_TURN_SECONDS = 1.0


class AsyncEngine:
    """Submits tasks to an engine and delivers the events to the event loop."""

    def __init__(
        self,
        *,
        options: EngineOptions,
        observer: Observer,
        workers: WorkerPool,
        compilers: WorkerPool,
        stream_bytes: int,
        pause_seconds: float,
        answers_bytes: int,
        rates: RateLimits,
        on_slow_reader: Callable[[], None],
    ) -> None:
        """``workers`` tokenize long texts, ``compilers`` compile constraints. ``stream_bytes``:
        buffer of a stream; a task whose buffer is full is held, and after ``pause_seconds`` it is
        cancelled and ``on_slow_reader`` is called. ``answers_bytes``: memory of all answers that
        are incomplete or not yet read. ``rates``: charges the tokens of each task to its client.
        """
        self._engine = Engine({}, self._deliver, options=options, observer=observer)
        self._workers = workers
        self._compilers = compilers
        self._stream_bytes = stream_bytes
        self._pause_seconds = pause_seconds
        self._answers = AnswerMemoryBudget(answers_bytes)
        self._rates = rates
        self._on_slow_reader = on_slow_reader
        self._tickets = itertools.count()
        self._replies: dict[Ticket, Reply] = {}
        self._deferred: list[Reply] = []  # submitted in this iteration of the event loop
        self._no_request = contextvars.Context()  # work for several requests is logged without one
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
            if not self._engine.is_quick(task):
                await self._submit_in_thread(self._compilers, task, ticket, reply)
                reply.end_first_turn()
            elif _text_length(task) > _LONG_TEXT:
                await self._submit_in_thread(self._workers, task, ticket, reply)
                reply.end_first_turn()
            else:
                self._submit(task, ticket, reply, deferred=True)
                self._defer(reply)
            reply.admitted = True
        except BaseException:
            reply.trace = None
            reply.cancel()
            raise
        if record is not None:
            record.model = task.model
        return reply

    def _submit(self, task: Task, ticket: Ticket, reply: Reply, *, deferred: bool = False) -> None:
        def admit(size: AnswerSize) -> None:
            count = size.tokens * EVENT_BYTES + size.logprobs * LOGPROB_BYTES
            reply.admit(self._answers, count, task.client)
            reply.charge(self._rates, size, task.client)

        on_start = None if reply.trace is None else reply.trace.start
        self._engine.submit(task, ticket, admit, on_start, deferred=deferred)

    def _defer(self, reply: Reply) -> None:
        """Run the task at the end of this iteration of the event loop."""
        if not self._deferred:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._run_deferred, context=self._no_request)
        self._deferred.append(reply)

    def _run_deferred(self) -> None:
        deferred, self._deferred = self._deferred, []
        self._dispatch(self._engine.run_deferred())
        for reply in deferred:
            reply.end_first_turn()

    async def _submit_in_thread(
        self, threads: WorkerPool, task: Task, ticket: Ticket, reply: Reply
    ) -> None:
        cost = float(max(_text_length(task), 1))
        submission = threads.start(task.client, cost, self._submit, task, ticket, reply)
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

    def build(self, name: str, artifact: StoredArtifact) -> Runner:
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
        self._compilers.stop()
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
