"""The runner of one language model: admit sequences, run one kernel call, process its results.

Prompts, sampling, scoring and searches share the rows and the steps. The thread that owns the
engine's turn calls all methods, except ``prepare``, ``interrupt`` and those of ``admission``.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence

from model.architecture import LanguageModelArchitecture
from model.storage.stored_artifact import StoredArtifact
from model.storage.weights import Weights, language_model_weights
from service.engine.api.errors import DeadlineExceeded, Draining, EngineError, StepFailed
from service.engine.api.observer import EndReason, Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Event, Task
from service.engine.runners.kernel_calls import Job, jobs_of, rows_in_steps, steps_of
from service.engine.runners.request_factory import RequestFactory
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.request_table import RequestTable
from service.engine.scheduling.runner import TicketEvents
from service.engine.scheduling.scheduler import Phase, Scheduler
from service.engine.scheduling.sequence import Request, RowSequence, Ticket
from service.engine.scheduling.turn_times import TurnTimes
from service.engine.states.prefix_cache import PrefixCache
from service.engine.states.state_token import StateTokenCodec
from service.kernel.api.interface import InvalidWork, Kernel, RowResult
from service.kernel.factory import make_kernel
from service.kernel.self_test import check_language_model

logger = logging.getLogger(__name__)
# Sequences without a first token run before the others: a step of few rows is much faster than one
# of all rows, and prompt steps need no output layer.
PRIORITY_STEPS = 32
PRIORITY_SECONDS = 0.06  # most time that other sequences wait while new ones arrive
# A turn costs the engine's thread and the event loop a fixed time for each stream, so it has many
# steps where they are fast. A new request ends it early.
TURN_SECONDS = 0.04
SHORT_BURST = 8  # steps of a turn that other models wait for, or that outlasts a sequence


class LanguageModelRunner:
    """Implements :class:`service.engine.scheduling.runner.Runner`."""

    def __init__(
        self, name: str, artifact: StoredArtifact, options: EngineOptions, observer: Observer
    ) -> None:
        weights = language_model_weights(artifact.weights.take())
        self.name = name
        self.admission = Admission(options.rows + options.waiting, rows=options.rows)
        self._factory = RequestFactory(
            name,
            artifact.tokenizer,
            options,
            PrefixCache(name, options.state_cache_bytes, observer),
            StateTokenCodec(
                options.state_key, artifact, weights.architecture, bound=options.bind_states_to_keys
            ),
            weights.architecture.hidden,
        )
        self._untested: Weights[LanguageModelArchitecture] | None = weights
        self._end_token = artifact.tokenizer.end
        self._exact = options.kernel == "torch" or options.precision == "float32"
        self._steps = options.burst_steps
        self._observer = observer
        self._scheduler: Scheduler[RowSequence] = Scheduler(options.rows, options.slice_steps)
        self._kernel: Kernel = make_kernel(
            weights,
            kernel=options.kernel,
            precision=options.precision,
            threads=options.threads,
            capacity=options.rows,
            end=artifact.tokenizer.end,
            suppressed=artifact.tokenizer.suppressed,
        )
        self._requests: RequestTable[Request] = RequestTable(self._release)
        self._request_of: dict[RowSequence, Request] = {}
        self._ran_urgent_only = False  # whether only urgent sequences ran in the last turn
        self._last_full_turn = 0.0  # time of the last turn of all sequences
        self._full_turn_seconds = 0.0  # duration of that turn
        self._gaps: Counter[float] = Counter()  # time between tokens in this turn; most are equal
        self._rows = options.rows
        self._times = TurnTimes()  # of a step, by rows
        self._any_thread = options.kernel == "native"  # torch has a number of threads for each

    def self_test(self) -> None:
        """Compare the kernel with the network, once and before the first request. Raises
        SelfTestError.
        """
        weights, self._untested = self._untested, None
        if weights is not None:
            check_language_model(self._kernel, weights, self._end_token, exact=self._exact)

    def prepare(self, task: Task) -> Request:
        """Check and tokenize a task. Thread-safe."""
        return self._factory.make(task)

    def is_quick(self, task: Task) -> bool:
        """Whether :meth:`prepare` has no constraint to compile. Thread-safe."""
        return self._factory.is_quick(task)

    @property
    def busy(self) -> bool:
        """Whether there are open requests."""
        return bool(self._requests)

    @property
    def ready(self) -> bool:
        """Whether any sequence has a row or waits for one."""
        return self._scheduler.running_count + self._scheduler.waiting_count > 0

    def accept(self, request: Request) -> None:
        """Queue a prepared request."""
        self._requests.add(request)
        self._scheduler.enqueue(request.client, request.sequences, request.kind)
        self._request_of.update(dict.fromkeys(request.sequences, request))
        self._report_load()

    def cancel(self, ticket: Ticket) -> None:
        """Drop a request and free its rows."""
        self._requests.cancel(ticket)

    def hold(self, ticket: Ticket, *, held: bool) -> None:
        """Stop a request, which then has no row, or let it go on."""
        request = self._requests.get(ticket)
        if request is None or request.held == held:
            return
        request.held = held
        for sequence in request.live:
            if not held:
                self._scheduler.release(sequence)
                continue
            if sequence.phase is Phase.RUNNING:
                sequence.pause()
            self._scheduler.hold(sequence)
        self._report_load()

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fail all requests."""
        return self._requests.abandon(error)

    def drain(self) -> TicketEvents:
        """End generations whose text has begun where they stand; fail the other requests."""
        events: TicketEvents = []
        for request in self._requests.open:
            if not any(sequence.resumable for sequence in request.live):
                events += self._requests.fail(request, Draining())
                continue
            for sequence in request.live:
                if sequence.live:  # draining another one may have failed the request
                    events += self._attempt(request, sequence, sequence.drain)
        return events

    def interrupt(self) -> None:
        """End the current burst of steps, or the next one, early. Thread-safe."""
        self._kernel.interrupt()

    def seconds_for(self, requests: Sequence[Request]) -> float:
        """The estimated time for these requests alone. Infinite for searches, which read an unknown
        number of nodes, and if there are too few rows.
        """
        rows = sum(request.size for request in requests)
        steps = [request.steps for request in requests if request.steps is not None]
        if not self._any_thread or rows > self._rows or len(steps) < len(requests):
            return math.inf
        return max(steps, default=0) * self._times.estimate(rows)

    def step(self, *, alone: bool = True) -> TicketEvents:
        """One turn: expire, admit, run the kernel, process results."""
        now = time.monotonic()
        events = self._expire(now)
        started = self._assign_rows(now, events)
        running = self._scheduler.running
        may_prioritize = self._may_prioritize(started, now)
        urgent = [sequence for sequence in running if sequence.urgent] if may_prioritize else []
        self._ran_urgent_only = False
        events += self._move_urgent(urgent, self._urgent_steps(len(urgent)))
        if self._ran_urgent_only:
            return events
        begun = time.monotonic()
        limit = self._steps if alone else min(self._steps, SHORT_BURST)
        jobs = jobs_of(running, limit, limit)
        events += self._move(jobs, self._burst(jobs, limit), TURN_SECONDS)
        self._last_full_turn = time.monotonic()
        self._full_turn_seconds = self._last_full_turn - begun
        return events

    def _may_prioritize(self, started: bool, now: float) -> bool:
        """Whether urgent sequences may run alone: in every second turn, and in further turns
        while new sequences start, for PRIORITY_SECONDS at most.
        """
        return not self._ran_urgent_only or (
            started and now - self._last_full_turn < PRIORITY_SECONDS
        )

    def _urgent_steps(self, urgent: int) -> int:
        """The steps of a turn of urgent sequences: not more work than a burst of a full batch, so
        that the others keep half of the time.
        """
        return min(PRIORITY_STEPS, self._steps * self._kernel.capacity // max(urgent, 1))

    def _move_urgent(self, urgent: Sequence[RowSequence], steps: int) -> TicketEvents:
        """One call of the kernel, and further ones for searches, of which a call expands one node
        a row. They end after the steps, or after as long as the last turn of all sequences took.
        """
        events: TicketEvents = []
        jobs = jobs_of(urgent, steps, 1)
        self._ran_urgent_only = bool(jobs)
        latest = time.monotonic() + self._full_turn_seconds
        while jobs:
            events += self._move(jobs, steps)
            steps -= max(len(work.feed) for _, work in jobs)
            if steps <= 0 or time.monotonic() > latest:
                break
            jobs = jobs_of([s for s in urgent if s.live and s.searches], steps, 1)
        return events

    def _burst(self, jobs: Sequence[Job], limit: int) -> int:
        """The most steps of a turn: until a sequence is complete, so that its client does not wait
        for the others.
        """
        first_end = min((work.sample for _, work in jobs if work.sample), default=limit)
        return min(max(first_end, SHORT_BURST), limit)

    def _move(self, jobs: Sequence[Job], steps: int, seconds: float = math.inf) -> TicketEvents:
        if not jobs:
            return []
        begun = time.thread_time()  # not the time of other processes
        results = self._run(jobs, steps, seconds)
        events = self._settle(jobs, results)
        self._times.record(len(jobs), (time.thread_time() - begun) / steps_of(results))
        return events

    def _expire(self, now: float) -> TicketEvents:
        events: TicketEvents = []
        for request in self._requests.late(now):
            if not request.begun:
                events += self._requests.fail(request, DeadlineExceeded(), "deadline")
                continue
            for sequence in request.live:
                if sequence.live:  # expiring another one may have ended the request
                    events += self._attempt(request, sequence, sequence.expire)
        return events

    def _assign_rows(self, now: float, events: TicketEvents) -> bool:
        """Assign free rows to waiting sequences, then preempt sequences where that is fair. Adds
        the events of failures. Returns whether any sequence got its first row.
        """
        started = False
        for sequence in self._scheduler.admit():
            started |= self._enter(sequence, now, events)
        while (preemption := self._scheduler.next_preemption()) is not None:
            preemption.preempted.pause()
            self._scheduler.preempt(*preemption)
            started |= self._enter(preemption.successor, now, events)
        return started

    def _enter(self, sequence: RowSequence, now: float, events: TicketEvents) -> bool:
        """Start or resume a sequence in its row. Returns whether it started."""
        if not sequence.live:  # its request failed in this turn
            return False
        request, begins = self._request_of[sequence], not sequence.entered

        def enter() -> list[Event]:
            sequence.enter(self._kernel)
            return []

        if begins and sequence.counts:
            self._observer.queued(self.name, now - request.submitted)
            self.admission.started(request.client, now - request.submitted)
            request.start()
        events += self._attempt(request, sequence, enter)
        self._report_load()
        return begins

    def _run(self, jobs: Sequence[Job], steps: int, seconds: float) -> list[RowResult | None]:
        """The result of each job; None where it failed. The kernel refuses impossible work
        before any row has moved, so the other jobs can be retried without it. After any other
        failure the rows are in an unknown state.
        """
        begun = time.monotonic()
        try:
            results = self._kernel.run(
                [work for _, work in jobs],
                steps,
                cut_at_end=self._is_awaited(jobs),
                seconds=seconds,
            )
        except InvalidWork as error:
            if len(jobs) == 1:
                logger.error("%s cannot do the work of a sequence: %s", self.name, error)
                return [None]
            half = len(jobs) // 2
            return [
                *self._run(jobs[:half], steps, seconds),
                *self._run(jobs[half:], steps, seconds),
            ]
        except Exception:
            logger.exception("a step of %s failed over %d rows", self.name, len(jobs))
            return [None] * len(jobs)
        seconds = time.monotonic() - begun
        rows = rows_in_steps(results)
        if not self._ran_urgent_only:
            self._scheduler.advance(len(rows))
        self._observer.steps(self.name, seconds, rows)
        return list(results)

    def _is_awaited(self, jobs: Sequence[Job]) -> bool:
        """Whether something can continue as soon as one of these rows has done its work."""
        return self._scheduler.waiting_count > 0 or any(work.sample == 0 for _, work in jobs)

    def _settle(self, jobs: Sequence[Job], results: Sequence[RowResult | None]) -> TicketEvents:
        events: TicketEvents = []
        now = time.monotonic()
        read_before = sum(sequence.prompt_read for sequence, _ in jobs)
        generated_before = sum(sequence.generated for sequence, _ in jobs)
        for (sequence, _), result in zip(jobs, results, strict=True):
            if sequence.phase is Phase.RUNNING:  # otherwise its request ended in this turn
                events += self._take(sequence, result, now)
        read = sum(sequence.prompt_read for sequence, _ in jobs) - read_before
        generated = sum(sequence.generated for sequence, _ in jobs) - generated_before
        self._observer.tokens(self.name, read, generated)
        self.admission.progress(read + generated)
        for seconds, count in self._gaps.items():
            self._observer.inter_token(self.name, seconds, count)
        self._gaps.clear()
        return events

    def _take(self, sequence: RowSequence, result: RowResult | None, now: float) -> TicketEvents:
        request = self._request_of[sequence]
        if result is None or result.failed:
            logger.error("a sequence of %s has failed", self.name)
            return self._requests.fail(request, StepFailed())
        generated_before = sequence.generated
        events = self._attempt(request, sequence, lambda: sequence.take(result))
        self._time_tokens(sequence, request, sequence.generated - generated_before, now)
        return events

    def _attempt(
        self, request: Request, sequence: RowSequence, action: Callable[[], list[Event]]
    ) -> TicketEvents:
        """Run an action of a sequence. An exception fails its request and no other."""
        try:
            events = action()
        except Exception:
            logger.exception("a sequence of %s failed outside of the kernel", self.name)
            return self._requests.fail(request, StepFailed())
        return self._conclude(request, sequence, events)

    def _conclude(
        self, request: Request, sequence: RowSequence, events: list[Event]
    ) -> TicketEvents:
        """Return a sequence's events under its ticket, and close what they end."""
        if any(event.final for event in events):
            self._requests.close(request, sequence.ended_by or "error")
        elif sequence.ended_by is not None:
            self._end(sequence, sequence.ended_by)
        return [(request.ticket, event) for event in events]

    def _release(self, request: Request, reason: EndReason) -> None:
        for sequence in request.live:
            self._end(sequence, reason)

    def _end(self, sequence: RowSequence, reason: EndReason) -> None:
        self._scheduler.end(sequence)
        request = self._request_of.pop(sequence)
        share = request.answer.work // request.size
        unused = max(0, share - sequence.prompt_read - sequence.generated)
        self.admission.release(1, request.client, unused)
        if sequence.counts:
            self._observer.finished(self.name, reason)
        self._report_load()

    def _time_tokens(
        self, sequence: RowSequence, request: Request, generated: int, now: float
    ) -> None:
        if generated == 0:
            return
        if sequence.last_token_at is None:
            self._observer.first_token(self.name, now - request.submitted)
            generated -= 1
        since = now if sequence.last_token_at is None else sequence.last_token_at
        if generated:
            self._gaps[(now - since) / generated] += generated
        sequence.last_token_at = now

    def _report_load(self) -> None:
        running, waiting = self._scheduler.running_count, self._scheduler.waiting_count
        self._observer.load(self.name, running, waiting)
