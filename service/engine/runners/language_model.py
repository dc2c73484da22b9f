"""The runner of one language model: admit sequences, run one kernel call, process its results.

Prompts, sampling, scoring and searches share the rows and the steps. All methods run in the
engine's thread, except ``prepare``, ``interrupt`` and those of ``admission``.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

from model.artifact import Artifact
from model.networks import LanguageModel
from service.engine.api.errors import DeadlineExceeded, EngineError, StepFailed
from service.engine.api.observer import EndReason, Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Event, Task
from service.engine.runners.request_factory import RequestFactory
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.request_table import RequestTable
from service.engine.scheduling.runner import TicketEvents
from service.engine.scheduling.scheduler import Phase, Scheduler
from service.engine.scheduling.sequence import Request, RowSequence, Ticket
from service.engine.states.prefix_cache import PrefixCache
from service.engine.states.state_token import StateTokenCodec
from service.kernel.api.interface import InvalidWork, Kernel, RowResult, RowWork
from service.kernel.factory import make_kernel

logger = logging.getLogger(__name__)
Job = tuple[RowSequence, RowWork]
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
        self, name: str, artifact: Artifact, options: EngineOptions, observer: Observer
    ) -> None:
        if not isinstance(artifact.network, LanguageModel):
            raise TypeError(f"{name} is not a language model")
        self.name = name
        self.admission = Admission(options.rows + options.waiting)
        self._factory = RequestFactory(
            name,
            artifact.tokenizer,
            options,
            PrefixCache(name, options.state_cache_bytes, observer),
            StateTokenCodec(
                options.state_key, artifact, artifact.network, bound=options.bind_states_to_keys
            ),
        )
        self._steps = options.burst_steps
        self._observer = observer
        self._scheduler: Scheduler[RowSequence] = Scheduler(options.rows, options.slice_steps)
        self._kernel: Kernel = make_kernel(
            artifact.network,
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

    def prepare(self, task: Task) -> Request:
        """Check and tokenize a task. Thread-safe."""
        return self._factory.make(task)

    @property
    def busy(self) -> bool:
        """Whether there are open requests."""
        return bool(self._requests)

    def accept(self, request: Request) -> None:
        """Queue a prepared request."""
        self._requests.add(request)
        self._scheduler.enqueue(request.client, request.sequences)
        self._request_of.update(dict.fromkeys(request.sequences, request))
        self._report_load()

    def cancel(self, ticket: Ticket) -> None:
        """Drop a request and free its rows."""
        self._requests.cancel(ticket)

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fail all requests."""
        return self._requests.abandon(error)

    def interrupt(self) -> None:
        """End the current burst of steps, or the next one, early. Thread-safe."""
        self._kernel.interrupt()

    def step(self, *, alone: bool = True) -> TicketEvents:
        """One turn: expire, admit, run the kernel, process results."""
        now = time.monotonic()
        events = self._expire(now)
        started = self._assign_rows(now, events)
        running = self._scheduler.running
        may_prioritize = self._may_prioritize(started, now)
        urgent = [sequence for sequence in running if sequence.urgent] if may_prioritize else []
        jobs = _jobs(urgent, PRIORITY_STEPS, 1)
        self._ran_urgent_only = bool(jobs)
        if jobs:
            return events + self._move(jobs, PRIORITY_STEPS)
        limit = self._steps if alone else min(self._steps, SHORT_BURST)
        jobs = _jobs(running, limit, limit)
        events += self._move(jobs, self._burst(jobs, limit), TURN_SECONDS)
        self._last_full_turn = time.monotonic()
        return events

    def _may_prioritize(self, started: bool, now: float) -> bool:
        """Whether urgent sequences may run alone: in every second turn, and in further turns
        while new sequences start, for PRIORITY_SECONDS at most.
        """
        return not self._ran_urgent_only or (
            started and now - self._last_full_turn < PRIORITY_SECONDS
        )

    def _burst(self, jobs: Sequence[Job], limit: int) -> int:
        """The most steps of a turn: until a sequence is complete, so that its client does not wait
        for the others.
        """
        first_end = min((work.sample for _, work in jobs if work.sample), default=limit)
        return min(max(first_end, SHORT_BURST), limit)

    def _move(self, jobs: Sequence[Job], steps: int, seconds: float = math.inf) -> TicketEvents:
        return self._settle(jobs, self._run(jobs, steps, seconds)) if jobs else []

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
        taken = max(result.read + max(len(result.tokens) - 1, 0) for result in results)
        if not self._ran_urgent_only:
            self._scheduler.advance(taken)
        self._observer.step(self.name, (time.monotonic() - begun) / max(taken, 1), len(jobs))
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
        self._observer.tokens(
            self.name,
            sum(sequence.prompt_read for sequence, _ in jobs) - read_before,
            sum(sequence.generated for sequence, _ in jobs) - generated_before,
        )
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
        self.admission.release(1, self._request_of.pop(sequence).client)
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
            self._observer.inter_tokens(self.name, (now - since) / generated, generated)
        sequence.last_token_at = now

    def _report_load(self) -> None:
        running, waiting = self._scheduler.running_count, self._scheduler.waiting_count
        self._observer.load(self.name, running, waiting)


def _jobs(sequences: Sequence[RowSequence], steps: int, max_samples: int) -> list[Job]:
    """The sequences that have work now, with their work."""
    return [
        (sequence, work)
        for sequence in sequences
        if (work := sequence.work(steps, max_samples)) is not None
    ]
