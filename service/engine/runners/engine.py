"""Serves all models in turns: take submissions, step every runner, return the events.

``submit`` and ``cancel`` are thread-safe. The engine's thread runs the turns and passes all events
of one to the ``deliver`` function of the constructor in one call. Waking that thread costs more
than a short task, so a submitting thread may run such tasks itself (``run_deferred``) while the
engine is idle. A lock, held during each turn, decides which thread owns the runners.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

from model.architecture import LanguageModelArchitecture
from model.storage.stored_artifact import StoredArtifact
from service.engine.api.errors import (
    DeadlineUnreachable,
    Draining,
    StartError,
    StepFailed,
    UnknownModel,
)
from service.engine.api.observer import REJECT_REASONS, Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Task
from service.engine.runners.classifier import ClassifierRunner
from service.engine.runners.language_model import LanguageModelRunner
from service.engine.scheduling.runner import Runner, TicketEvents
from service.engine.scheduling.sequence import AnswerSize, Request, Ticket
from service.kernel.factory import use_threads

__all__ = ["AnswerSize", "Deliver", "Engine", "EngineOptions", "Ticket"]

logger = logging.getLogger(__name__)
Deliver = Callable[[TicketEvents], None]
IDLE_POLL_SECONDS = 0.2  # an idle loop updates its heartbeat this often
# When several requests arrive together, the loop waits for more before it steps: submitting threads
# get the processors, and the requests share a batch. The window ends after a gap without arrivals.
BATCHING_WINDOW_REQUESTS = 2
BATCHING_WINDOW_GAP_SECONDS = 0.001
BATCHING_WINDOW_SECONDS = 0.025
JOIN_SECONDS = 5.0
DEFERRED_SECONDS = 0.002  # most estimated work that a submitting thread does itself
DEFAULT_OPTIONS = EngineOptions()


class Engine:
    """Serves loaded artifacts, by name, until it is stopped."""

    def __init__(
        self,
        models: Mapping[str, StoredArtifact],
        deliver: Deliver,
        *,
        options: EngineOptions = DEFAULT_OPTIONS,
        observer: Observer | None = None,
    ) -> None:
        """Serve the models; :meth:`serve` adds more. ``deliver`` must be quick and must not raise.

        Raises StartError if the system provides no thread.
        """
        self._options = options
        self._observer = observer or Observer()
        self._deliver = deliver
        self._runners = {name: self.build(name, artifact) for name, artifact in models.items()}
        self._retiring: tuple[Runner, ...] = ()  # replaced or removed, with open requests
        _start(threading.Thread(target=lambda: None))  # raises now if there are no threads
        self._owned = threading.Lock()  # held during a turn, by the thread that uses the runners
        self._wake = threading.Condition()  # guards the fields below, and runners; taken last
        self._submitted: list[tuple[Runner, Request]] = []
        self._cancelled: list[Ticket] = []
        self._held: list[tuple[Ticket, bool]] = []
        self._draining = False
        self._stopping = False
        self._busy = False  # whether a runner has open requests, or is about to
        self._ready = False  # whether one of them is not held
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread, once. Raises StartError."""
        _start(self._thread)

    def build(self, name: str, artifact: StoredArtifact) -> Runner:
        """A runner for a model, which is not served yet: packs the weights. Thread-safe."""
        use_threads(self._options.kernel, 1)  # of the calling thread alone
        if isinstance(artifact.architecture, LanguageModelArchitecture):
            return LanguageModelRunner(name, artifact, self._options, self._observer)
        return ClassifierRunner(name, artifact, self._options, self._observer)

    def serve(self, runner: Runner) -> None:
        """Give new requests for the model to this runner. Thread-safe.

        A runner that had them before keeps its open requests until they end.
        """
        self._replace({**self._runners, runner.name: runner})

    def remove(self, name: str) -> None:
        """Serve no new requests for a model; its open requests end normally. Thread-safe."""
        self._replace({other: self._runners[other] for other in self._runners if other != name})

    @property
    def retiring(self) -> Collection[str]:
        """The names of replaced and removed models that still have open requests."""
        return [runner.name for runner in self._retiring]

    def submit(
        self,
        task: Task,
        ticket: Ticket,
        admit: Callable[[AnswerSize], None] | None = None,
        on_start: Callable[[], None] | None = None,
        *,
        deferred: bool = False,
    ) -> None:
        """Accept a task, or refuse it at once. Thread-safe.

        ``ticket`` is any hashable value not in use; events carry it. ``admit`` gets the largest
        possible size of the answer and may raise Overloaded. ``on_start`` is called by the thread
        that runs the turn, for each sequence that gets its first row. Texts are tokenized in the
        calling thread, so do not call this from an event loop if texts are long. Raises
        UnknownModel, WrongKind, InvalidTask, InvalidState, ForeignState, Overloaded, Draining.
        After a normal return the task gets exactly one final event, unless it is cancelled first.

        ``deferred``: do not wake the engine's thread; the caller will call :meth:`run_deferred`.
        """
        submitted = time.monotonic()
        runner = self._runners.get(task.model)
        if runner is None:
            raise UnknownModel(task.model)
        try:
            self._refuse_if_draining()
            runner.admission.check(1, task.client)  # before tokenizing
            _check_deadline(task, runner)
            request = runner.prepare(task)
            request.ticket, request.client, request.submitted = ticket, task.client, submitted
            request.on_start = on_start
            if admit is not None:
                admit(request.answer)
            with self._wake:
                self._refuse_if_draining()
                runner.admission.take(request.size, request.client, request.answer.work)
                self._submitted.append((runner, request))
                if runner not in self._active:  # it was replaced in the meantime
                    self._retiring = (*self._retiring, runner)
            if not deferred:
                self._wake_thread()
        except tuple(REJECT_REASONS) as error:
            self._observer.rejected(task.model, REJECT_REASONS[type(error)])
            raise

    def is_quick(self, task: Task) -> bool:
        """Whether :meth:`submit` takes no longer than the texts of the task need: it has no
        constraint to compile. Thread-safe.
        """
        runner = self._runners.get(task.model)
        return not isinstance(runner, LanguageModelRunner) or runner.is_quick(task)

    def run_deferred(self) -> TicketEvents:
        """Run the submitted tasks in the calling thread, if nothing else is open and they are
        estimated to end within ``DEFERRED_SECONDS``. Returns their events, which are not passed
        to ``deliver``.

        The engine's thread is woken for tasks that do not fit, or have not ended in that time.
        """
        events: TicketEvents = []
        if self._owned.acquire(blocking=False):
            try:
                if self._is_short_work():
                    events = self._run_turns(time.monotonic() + DEFERRED_SECONDS)
            finally:
                self._owned.release()
        if self._submitted or self._ready:
            self._wake_thread()
        return events

    def cancel(self, ticket: Ticket) -> None:
        """Free everything the task holds before the next step. Thread-safe.

        No event follows, except those of the turn that is being delivered. Unknown and finished
        tickets are ignored.
        """
        with self._wake:
            self._cancelled.append(ticket)
        self._wake_thread()

    def hold(self, ticket: Ticket, *, held: bool) -> None:
        """Stop a task whose client does not read, or let it go on. Thread-safe.

        Events of the current turn may follow. A held task has no row, keeps its place in the queue
        and its deadline, and may be cancelled.
        """
        with self._wake:
            self._held.append((ticket, held))
            self._wake.notify_all()

    def drain(self) -> None:
        """Refuse new tasks from now on; accepted tasks continue. Thread-safe."""
        with self._wake:
            self._draining = True

    def stop(self, timeout: float) -> bool:
        """Drain, wait up to ``timeout`` seconds, then end the thread.

        Tasks that are still open are drained: generations end with the state that continues them,
        other tasks with ``Failed(Draining())``. Returns True if there were none. May
        be called more than once, and before ``start``.
        """
        with self._wake:
            self._draining = True
            idle = self._wake.wait_for(self._is_idle, timeout)
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)  # a thread that hangs must not keep the process
        return idle

    @property
    def models(self) -> Collection[str]:
        """The names of the served models."""
        return self._runners.keys()

    @property
    def draining(self) -> bool:
        """Whether new tasks are refused."""
        return self._draining

    def heartbeat_age(self) -> float:
        """Seconds since the last turn of the loop.

        A healthy loop stays below one second or the length of the longest step, also when idle.
        """
        return time.monotonic() - self._heartbeat

    def _wake_thread(self) -> None:
        """Wake the engine's thread, and interrupt the current burst so that submissions are handled
        after this step.
        """
        with self._wake:
            self._wake.notify_all()
        for runner in self._active:
            runner.interrupt()

    @property
    def _active(self) -> tuple[Runner, ...]:
        """All runners that have, or may get, requests."""
        return (*self._runners.values(), *self._retiring)

    def _replace(self, runners: dict[str, Runner]) -> None:
        with self._wake:
            served = [*runners.values()]
            left = [runner for runner in self._runners.values() if runner not in served]
            self._runners = runners
            self._retiring = (*self._retiring, *left)
            self._wake.notify_all()

    def _refuse_if_draining(self) -> None:
        if self._draining:
            raise Draining

    def _is_idle(self) -> bool:
        return not (self._submitted or self._busy)

    def _is_short_work(self) -> bool:
        """Whether the submitted tasks are all that is open and short. The caller owns the turn."""
        with self._wake:
            if self._stopping or any(runner.busy for runner in self._active):
                return False
            submitted = list(self._submitted)
        seconds = 0.0
        for runner in {runner for runner, _ in submitted}:
            seconds += runner.seconds_for([request for own, request in submitted if own is runner])
        return seconds <= DEFERRED_SECONDS

    def _loop(self) -> None:
        use_threads(self._options.kernel, self._options.threads)
        while True:
            self._wait_for_work()
            with self._owned:
                self._heartbeat = time.monotonic()
                if self._stopping:
                    break
                events = self._run_turn()
            self._deliver_events(events)
        self._drain()

    def _wait_for_work(self) -> None:
        """Return when there is work, at the next heartbeat, or when the engine stops."""
        with self._wake:
            asked = self._submitted or self._cancelled or self._held or self._stopping
            if not (asked or self._ready):
                if not self._busy:
                    self._wake.notify_all()  # for stop(), which waits for this
                self._wake.wait(IDLE_POLL_SECONDS)
            if len(self._submitted) >= BATCHING_WINDOW_REQUESTS:
                self._collect_batch()

    def _run_turns(self, until: float) -> TicketEvents:
        """Turns until nothing is left to do, or until this time. The caller owns the turn."""
        events = self._run_turn()
        while self._ready and time.monotonic() < until:
            events += self._run_turn()
        return events

    def _run_turn(self) -> TicketEvents:
        """Do what was asked for since the last turn, and step every runner. The caller owns the
        turn.
        """
        with self._wake:
            self._retire()
            submitted, self._submitted = self._submitted, []
            cancelled, self._cancelled = self._cancelled, []
            holds, self._held = self._held, []
            self._busy = self._busy or bool(submitted)
        for runner, request in submitted:
            runner.accept(request)
        for ticket in cancelled:
            for runner in self._active:
                runner.cancel(ticket)
        for ticket, held in holds:
            for runner in self._active:
                runner.hold(ticket, held=held)
        events = _step(self._active)
        with self._wake:
            self._retire()
            self._busy = any(runner.busy for runner in self._active)
            self._ready = any(runner.ready for runner in self._active)
        return events

    def _retire(self) -> None:
        """Drop replaced runners whose last request has ended. The caller owns the turn and holds
        the lock.
        """
        if self._retiring:
            expected = [runner for runner, _ in self._submitted]
            self._retiring = tuple(
                runner for runner in self._retiring if runner.busy or runner in expected
            )

    def _collect_batch(self) -> None:
        """Wait for further submissions within the batching window. The caller holds the lock,
        which is released while waiting.
        """
        latest = time.monotonic() + BATCHING_WINDOW_SECONDS
        while self._wake.wait(BATCHING_WINDOW_GAP_SECONDS) and time.monotonic() < latest:
            pass

    def _deliver_events(self, events: TicketEvents) -> None:
        if not events:
            return
        try:
            self._deliver(events)
        except Exception:
            logger.exception("%d events could not be delivered", len(events))

    def _drain(self) -> None:
        with self._owned:
            with self._wake:
                submitted, self._submitted = self._submitted, []
            for runner, request in submitted:
                runner.accept(request)
            events = [event for runner in self._active for event in runner.drain()]
        self._deliver_events(events)


def _check_deadline(task: Task, runner: Runner) -> None:
    """Raises DeadlineUnreachable if the deadline is shorter than the wait for a row."""
    wait = runner.admission.shortest_wait(task.client)
    if task.deadline_seconds is not None and task.deadline_seconds < wait:
        raise DeadlineUnreachable(wait)


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        raise StartError(error) from error


def _step(runners: Iterable[Runner]) -> TicketEvents:
    """Step each busy runner. An exception here is a defect of the runner and fails all its
    requests.
    """
    busy = [runner for runner in runners if runner.busy]
    events: TicketEvents = []
    for runner in busy:
        try:
            events += runner.step(alone=len(busy) == 1)
        except Exception:
            logger.exception("a runner failed outside of a step")
            events += runner.abandon(StepFailed())
    return events
