"""Runs the sequences of one language model: admit, run one kernel call, settle.

Prompts, drawing, scoring and searches share the rows and the steps. Everything here happens in
the engine's thread except ``prepare`` and ``admission``. Knows no other model.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from model.artifact import Artifact
from model.networks import LanguageModel
from service.engine.admission import Admission
from service.engine.errors import DeadlineExceeded, EngineError, StepFailed
from service.engine.language_model_requests import RequestMaker
from service.engine.observer import EndReason, Observer
from service.engine.options import EngineOptions
from service.engine.portable_state import Sealer
from service.engine.runner import TicketEvents
from service.engine.scheduler import Phase, Scheduler
from service.engine.sequence import Request, RowSequence, Ticket
from service.engine.state_cache import StateCache
from service.engine.tasks import Event, Failed, Task
from service.kernel.choice import make_kernel
from service.kernel.interface import Kernel, RowResult, RowWork

logger = logging.getLogger(__name__)
Job = tuple[RowSequence, RowWork]
# Who waits for a first token goes ahead of the others: a step of few rows is far quicker than one
# of all, mostly without an output layer, and few tokens are quicker written than everybody's.
AHEAD_STEPS = 32
PATIENCE_SECONDS = 0.06  # how long the others are held up where more and more come


class LanguageModelRunner:
    """Implements :class:`service.engine.runner.Runner`."""

    def __init__(
        self, name: str, artifact: Artifact, options: EngineOptions, observer: Observer
    ) -> None:
        if not isinstance(artifact.network, LanguageModel):
            raise TypeError(f"{name} is not a language model")
        self.name = name
        self.admission = Admission(options.rows + options.waiting)
        self._requests_made_by = RequestMaker(
            name,
            artifact.tokenizer,
            options,
            StateCache(name, options.state_cache_bytes, observer),
            Sealer(
                options.state_key, artifact, artifact.network, bound=options.bind_states_to_keys
            ),
        )
        self._steps = options.burst_steps
        self._observer = observer
        self._scheduler: Scheduler[RowSequence] = Scheduler(options.rows)
        self._kernel: Kernel = make_kernel(
            artifact.network,
            kernel=options.kernel,
            precision=options.precision,
            threads=options.threads,
            capacity=options.rows,
            end=artifact.tokenizer.end,
            never_drawn=artifact.tokenizer.never_drawn,
        )
        self._requests: dict[Ticket, Request] = {}
        self._request_of: dict[RowSequence, Request] = {}
        self._went_ahead = False  # whether the turn before was of the urgent alone
        self._all_moved = 0.0  # when everybody last had a turn

    def prepare(self, task: Task) -> Request:
        """Checks and tokenises a task. Any thread."""
        return self._requests_made_by.make(task)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._requests)

    def accept(self, request: Request) -> None:
        """Puts a prepared request into the queue."""
        self._requests[request.ticket] = request
        for group in request.groups:
            self._scheduler.enqueue(group)
            self._request_of.update(dict.fromkeys(group, request))
        self._tell_load()

    def cancel(self, ticket: Ticket) -> None:
        """Forgets a request; its rows are free at once."""
        request = self._requests.get(ticket)
        if request is not None:
            self._close(request, "cancelled")

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fails everything there is."""
        return [
            event
            for request in list(self._requests.values())
            for event in self._fail(request, error)
        ]

    def hurry(self) -> None:
        """Cuts the burst of steps under way, or the next one, short. Any thread."""
        self._kernel.interrupt()

    def step(self) -> TicketEvents:
        """One turn: what is late goes, who fits comes in, rows move, results are settled."""
        now = time.monotonic()
        events = self._expire(now)
        came = self._admit(now)
        running = self._scheduler.running
        urgent = [one for one in running if one.urgent] if self._may_go_ahead(came, now) else []
        jobs = _jobs(urgent, AHEAD_STEPS, 1)
        self._went_ahead = bool(jobs)
        if jobs:
            return events + self._move(jobs, AHEAD_STEPS)
        events += self._move(_jobs(running, self._steps, self._steps), self._steps)
        self._all_moved = time.monotonic()
        return events

    def _may_go_ahead(self, came: bool, now: float) -> bool:
        """Every other turn is that of those who are in a hurry; more of them as long as more come
        and the others have patience.
        """
        return not self._went_ahead or (came and now - self._all_moved < PATIENCE_SECONDS)

    def _move(self, jobs: Sequence[Job], steps: int) -> TicketEvents:
        if not jobs:
            return []
        results = self._run(jobs, steps)
        return self._fail_all(jobs) if results is None else self._settle(jobs, results)

    def _expire(self, now: float) -> TicketEvents:
        events: TicketEvents = []
        for request in [request for request in self._requests.values() if request.is_late(now)]:
            running = [one for one in request.live if one.phase is Phase.RUNNING]
            if len(running) < len(request.live):  # part of it has not even begun
                events += self._fail(request, DeadlineExceeded(), "deadline")
                continue
            for sequence in running:
                if sequence.phase is Phase.RUNNING:  # the first may have ended the request
                    events += self._note(request, sequence, sequence.expire())
        return events

    def _admit(self, now: float) -> bool:
        """Gives rows to those who wait; whether anybody got one."""
        admitted = self._scheduler.admit()
        for sequence in admitted:
            sequence.start(self._kernel)
            if sequence.counts:
                waited = now - self._request_of[sequence].submitted
                self._observer.queued(self.name, waited)
        if admitted:
            self._tell_load()
        return bool(admitted)

    def _run(self, jobs: Sequence[Job], steps: int) -> list[RowResult] | None:
        begun = time.monotonic()
        try:
            results = self._kernel.run(
                [work for _, work in jobs],
                steps,
                cut_at_end=self._is_awaited(jobs),
            )
        except Exception:
            logger.exception("a step of %s failed over %d rows", self.name, len(jobs))
            return None
        taken = max(result.read + max(len(result.drawn) - 1, 0) for result in results)
        self._observer.step(self.name, (time.monotonic() - begun) / max(taken, 1), len(jobs))
        return results

    def _is_awaited(self, jobs: Sequence[Job]) -> bool:
        """Whether something goes on as soon as one of these rows has done its work."""
        return self._scheduler.waiting_count > 0 or any(work.draw == 0 for _, work in jobs)

    def _settle(self, jobs: Sequence[Job], results: Sequence[RowResult]) -> TicketEvents:
        events: TicketEvents = []
        now = time.monotonic()
        read_before = sum(sequence.prompt_read for sequence, _ in jobs)
        drawn_before = sum(sequence.drawn for sequence, _ in jobs)
        for (sequence, _), result in zip(jobs, results, strict=True):
            if sequence.phase is Phase.RUNNING:  # else its request failed or ended in this turn
                events += self._take(sequence, result, now)
        self._observer.tokens(
            self.name,
            sum(sequence.prompt_read for sequence, _ in jobs) - read_before,
            sum(sequence.drawn for sequence, _ in jobs) - drawn_before,
        )
        return events

    def _take(self, sequence: RowSequence, result: RowResult, now: float) -> TicketEvents:
        request = self._request_of[sequence]
        drawn_before = sequence.drawn
        try:
            taken = sequence.take(result)
        except Exception:
            logger.exception("settling a step of %s failed for one sequence", self.name)
            return self._fail(request, StepFailed())
        self._time_tokens(sequence, request, sequence.drawn - drawn_before, now)
        return self._note(request, sequence, taken)

    def _note(self, request: Request, sequence: RowSequence, events: list[Event]) -> TicketEvents:
        """Passes a sequence's events on and ends what they end."""
        if any(event.final for event in events):
            self._close(request, sequence.ended_by or "error")
        elif sequence.ended_by is not None:
            self._end(sequence, sequence.ended_by)
        return [(request.ticket, event) for event in events]

    def _fail_all(self, jobs: Sequence[Job]) -> TicketEvents:
        events: TicketEvents = []
        for sequence, _ in jobs:
            if sequence.phase is Phase.RUNNING:
                events += self._fail(self._request_of[sequence], StepFailed())
        return events

    def _fail(
        self, request: Request, error: EngineError, reason: EndReason = "error"
    ) -> TicketEvents:
        self._close(request, reason)
        return [(request.ticket, Failed(error))]

    def _close(self, request: Request, reason: EndReason) -> None:
        for sequence in request.live:
            self._end(sequence, reason)
        del self._requests[request.ticket]

    def _end(self, sequence: RowSequence, reason: EndReason) -> None:
        self._scheduler.end(sequence)
        self.admission.release(1)
        del self._request_of[sequence]
        if sequence.counts:
            self._observer.finished(self.name, reason)
        self._tell_load()

    def _time_tokens(self, sequence: RowSequence, request: Request, drawn: int, now: float) -> None:
        if drawn == 0:
            return
        if sequence.last_drawn_at is None:
            self._observer.first_token(self.name, now - request.submitted)
            drawn -= 1
        since = now if sequence.last_drawn_at is None else sequence.last_drawn_at
        for _ in range(drawn):
            self._observer.inter_token(self.name, (now - since) / drawn)
        sequence.last_drawn_at = now

    def _tell_load(self) -> None:
        running, waiting = self._scheduler.running_count, self._scheduler.waiting_count
        self._observer.load(self.name, running, waiting)


def _jobs(sequences: Sequence[RowSequence], steps: int, draws: int) -> list[Job]:
    """What each of them has to do now, where it has anything."""
    return [(one, work) for one in sequences if (work := one.work(steps, draws)) is not None]
