"""Runs the sequences of one language model: admit, run one kernel call, settle.

Prompts, drawing, scoring and searches share the rows and the steps. Everything here happens in
the engine's thread except ``prepare`` and ``admission``. Knows no other model.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from model.artifact import Artifact
from model.networks import LanguageModel
from service.engine.api.errors import DeadlineExceeded, EngineError, StepFailed
from service.engine.api.observer import EndReason, Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Event, Failed, Task
from service.engine.runners.request_factory import RequestMaker
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.runner import TicketEvents
from service.engine.scheduling.scheduler import Phase, Scheduler
from service.engine.scheduling.sequence import Request, RowSequence, Ticket
from service.engine.states.prefix_cache import StateCache
from service.engine.states.state_token import Sealer
from service.kernel.api.interface import InvalidWork, Kernel, RowResult, RowWork
from service.kernel.factory import make_kernel

logger = logging.getLogger(__name__)
Job = tuple[RowSequence, RowWork]
# Who waits for a first token goes ahead of the others: a step of few rows is far quicker than one
# of all, mostly without an output layer, and few tokens are quicker written than everybody's.
AHEAD_STEPS = 32
PATIENCE_SECONDS = 0.06  # how long the others are held up where more and more come


class LanguageModelRunner:
    """Implements :class:`service.engine.scheduling.runner.Runner`."""

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
        self._scheduler: Scheduler[RowSequence] = Scheduler(options.rows, options.slice_steps)
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
        """Checks and tokenizes a task. Any thread."""
        return self._requests_made_by.make(task)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._requests)

    def accept(self, request: Request) -> None:
        """Puts a prepared request into the queue."""
        self._requests[request.ticket] = request
        self._scheduler.enqueue(request.client, request.sequences)
        self._request_of.update(dict.fromkeys(request.sequences, request))
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
        """One turn: what is late goes, rows are shared out, rows move, results are settled."""
        now = time.monotonic()
        events = self._expire(now)
        came = self._share_rows(now, events)
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
        return self._settle(jobs, self._run(jobs, steps)) if jobs else []

    def _expire(self, now: float) -> TicketEvents:
        events: TicketEvents = []
        for request in [request for request in self._requests.values() if request.is_late(now)]:
            if not request.begun:
                events += self._fail(request, DeadlineExceeded(), "deadline")
                continue
            for sequence in request.live:
                if sequence.live:  # the first may have ended the request
                    events += self._attempt(request, sequence, sequence.expire)
        return events

    def _share_rows(self, now: float, events: TicketEvents) -> bool:
        """Gives free rows to sequences that wait, then pauses some for others where that is fair;
        whether any sequence has a row for the first time. Adds the events of failures.
        """
        came = False
        for sequence in self._scheduler.admit():
            came |= self._enter(sequence, now, events)
        while (exchange := self._scheduler.next_exchange()) is not None:
            exchange.giver.pause()
            self._scheduler.exchange(*exchange)
            came |= self._enter(exchange.taker, now, events)
        return came

    def _enter(self, sequence: RowSequence, now: float, events: TicketEvents) -> bool:
        """Lets a sequence begin or go on in its row; whether it has begun."""
        if not sequence.live:  # its request has failed in this turn
            return False
        request, begins = self._request_of[sequence], not sequence.entered

        def enter() -> list[Event]:
            sequence.enter(self._kernel)
            return []

        if begins and sequence.counts:
            self._observer.queued(self.name, now - request.submitted)
        events += self._attempt(request, sequence, enter)
        self._tell_load()
        return begins

    def _run(self, jobs: Sequence[Job], steps: int) -> list[RowResult | None]:
        """What came of each job; None where it failed. Work that cannot be done is refused before
        any row has moved, so the jobs beside it are tried without it; after any other failure it
        is not known which rows have moved.
        """
        begun = time.monotonic()
        try:
            results = self._kernel.run(
                [work for _, work in jobs],
                steps,
                cut_at_end=self._is_awaited(jobs),
            )
        except InvalidWork as error:
            if len(jobs) == 1:
                logger.error("%s cannot do the work of a sequence: %s", self.name, error)
                return [None]
            half = len(jobs) // 2
            return [*self._run(jobs[:half], steps), *self._run(jobs[half:], steps)]
        except Exception:
            logger.exception("a step of %s failed over %d rows", self.name, len(jobs))
            return [None] * len(jobs)
        taken = max(result.read + max(len(result.drawn) - 1, 0) for result in results)
        if not self._went_ahead:
            self._scheduler.advance(taken)
        self._observer.step(self.name, (time.monotonic() - begun) / max(taken, 1), len(jobs))
        return list(results)

    def _is_awaited(self, jobs: Sequence[Job]) -> bool:
        """Whether something goes on as soon as one of these rows has done its work."""
        return self._scheduler.waiting_count > 0 or any(work.draw == 0 for _, work in jobs)

    def _settle(self, jobs: Sequence[Job], results: Sequence[RowResult | None]) -> TicketEvents:
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

    def _take(self, sequence: RowSequence, result: RowResult | None, now: float) -> TicketEvents:
        request = self._request_of[sequence]
        if result is None or result.failed:
            logger.error("a sequence of %s has failed", self.name)
            return self._fail(request, StepFailed())
        drawn_before = sequence.drawn
        events = self._attempt(request, sequence, lambda: sequence.take(result))
        self._time_tokens(sequence, request, sequence.drawn - drawn_before, now)
        return events

    def _attempt(
        self, request: Request, sequence: RowSequence, do: Callable[[], list[Event]]
    ) -> TicketEvents:
        """Has a sequence do something. What goes wrong fails its request and no other."""
        try:
            events = do()
        except Exception:
            logger.exception("a sequence of %s failed outside of the kernel", self.name)
            return self._fail(request, StepFailed())
        return self._note(request, sequence, events)

    def _note(self, request: Request, sequence: RowSequence, events: list[Event]) -> TicketEvents:
        """Passes a sequence's events on and ends what they end."""
        if any(event.final for event in events):
            self._close(request, sequence.ended_by or "error")
        elif sequence.ended_by is not None:
            self._end(sequence, sequence.ended_by)
        return [(request.ticket, event) for event in events]

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
        self.admission.release(1, self._request_of.pop(sequence).client)
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
