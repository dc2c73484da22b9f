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
from collections.abc import Callable, Collection, Mapping

import torch

from model.artifact import Artifact
from model.errors import panics_as_errors
from model.networks import LanguageModel
from service.engine.api.errors import Draining, QueueFull, StartError, StepFailed, UnknownModel
from service.engine.api.observer import Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Task
from service.engine.runners.classifier import ClassifierRunner
from service.engine.runners.language_model import LanguageModelRunner
from service.engine.scheduling.runner import Runner, TicketEvents
from service.engine.scheduling.sequence import AnswerSize, Request, Ticket

__all__ = ["AnswerSize", "Deliver", "Engine", "EngineOptions", "Ticket"]

logger = logging.getLogger(__name__)
Deliver = Callable[[TicketEvents], None]
IDLE_POLL_SECONDS = 0.2  # an idle loop updates its heartbeat this often
# When several requests arrive together, the loop waits for more before it steps: submitting threads
# get the processors, and the requests share a batch. The window ends after a gap without arrivals.
BATCHING_WINDOW_REQUESTS = 2
BATCHING_WINDOW_GAP_SECONDS = 0.001
BATCHING_WINDOW_SECONDS = 0.025
DEFERRED_SECONDS = 0.002  # most estimated work that a submitting thread does itself
DEFAULT_OPTIONS = EngineOptions()


class Engine:
    """Serves loaded artifacts, by name, until it is stopped."""

    def __init__(
        self,
        models: Mapping[str, Artifact],
        deliver: Deliver,
        *,
        options: EngineOptions = DEFAULT_OPTIONS,
        observer: Observer | None = None,
    ) -> None:
        """Pack the weights. ``deliver`` must be quick and must not raise.

        A model that cannot be set up is logged and is missing in :attr:`models`. Raises StartError
        if the system provides no thread.
        """
        self._options = options
        self._observer = observer or Observer()
        self._deliver = deliver
        self._runners = _runners(models, options, self._observer)
        _start(threading.Thread(target=lambda: None))  # raises now if there are no threads
        self._turn = threading.Lock()  # held by the thread that uses the runners
        self._wake = threading.Condition()  # guards the fields below; taken after the turn
        self._submitted: list[tuple[Runner, Request]] = []
        self._cancelled: list[Ticket] = []
        self._draining = False
        self._stopping = False
        self._busy = False  # whether a runner has open requests, or is about to
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread, once. Raises StartError."""
        _start(self._thread)

    def submit(
        self,
        task: Task,
        ticket: Ticket,
        admit: Callable[[AnswerSize], None] | None = None,
        *,
        deferred: bool = False,
    ) -> None:
        """Accept a task, or refuse it at once. Thread-safe.

        ``ticket`` is any hashable value not in use; events carry it. ``admit`` gets the largest
        possible size of the answer and may raise QueueFull. Texts are tokenized in the calling
        thread, so do not call this from an event loop if texts are long. Raises UnknownModel,
        WrongKind, InvalidTask, InvalidState, ForeignState, QueueFull, Draining. After a normal
        return the task gets exactly one final event, unless it is cancelled first.

        ``deferred``: do not wake the engine's thread; the caller will call :meth:`run_deferred`.
        """
        submitted = time.monotonic()
        runner = self._runners.get(task.model)
        if runner is None:
            raise UnknownModel(task.model)
        try:
            self._refuse_if_draining()
            runner.admission.check(1, task.client)  # before tokenizing
            request = runner.prepare(task)
            request.ticket, request.client, request.submitted = ticket, task.client, submitted
            if admit is not None:
                admit(request.answer)
            with self._wake:
                self._refuse_if_draining()
                runner.admission.take(request.size, request.client)
                self._submitted.append((runner, request))
            if not deferred:
                self._wake_thread()
        except QueueFull:
            self._observer.rejected(task.model, "queue_full")
            raise
        except Draining:
            self._observer.rejected(task.model, "draining")
            raise

    def run_deferred(self) -> TicketEvents:
        """Run the submitted tasks in the calling thread, if the engine is idle and they are
        estimated to end within ``DEFERRED_SECONDS``. Returns their events, which are not passed
        to ``deliver``.

        The engine's thread is woken for tasks that do not fit, or have not ended in that time.
        """
        events: TicketEvents = []
        if self._turn.acquire(blocking=False):
            try:
                if self._is_short_work():
                    events = self._run_turns(time.monotonic() + DEFERRED_SECONDS)
            finally:
                self._turn.release()
        if not self._is_idle():
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

    def drain(self) -> None:
        """Refuse new tasks from now on; accepted tasks continue. Thread-safe."""
        with self._wake:
            self._draining = True

    def stop(self, timeout: float) -> bool:
        """Drain, wait up to ``timeout`` seconds, then end the thread.

        Tasks that are still open get ``Failed(Draining())``. Returns True if there were none. May
        be called more than once, and before ``start``.
        """
        with self._wake:
            self._draining = True
            idle = self._wake.wait_for(self._is_idle, timeout)
            self._stopping = True
            self._wake.notify_all()
        if self._thread.is_alive():
            self._thread.join()
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
        for runner in self._runners.values():
            runner.interrupt()

    def _refuse_if_draining(self) -> None:
        if self._draining:
            raise Draining

    def _is_idle(self) -> bool:
        return not (self._submitted or self._busy)

    def _is_short_work(self) -> bool:
        """Whether the submitted tasks are all that is open and short. The caller owns the turn."""
        with self._wake:
            if self._stopping or any(runner.busy for runner in self._runners.values()):
                return False
            submitted = list(self._submitted)
        seconds = 0.0
        for runner in {runner for runner, _ in submitted}:
            seconds += runner.seconds_for([request for own, request in submitted if own is runner])
        return seconds <= DEFERRED_SECONDS

    def _loop(self) -> None:
        torch.set_num_threads(self._options.threads)
        while True:
            self._wait_for_work()
            with self._turn:
                self._heartbeat = time.monotonic()
                if self._stopping:
                    break
                events = self._run_turn()
            self._deliver_events(events)
        self._abandon()

    def _wait_for_work(self) -> None:
        """Return when there is work, at the next heartbeat, or when the engine stops."""
        with self._wake:
            if not (self._busy or self._submitted or self._cancelled or self._stopping):
                self._wake.notify_all()  # for stop(), which waits for this
                self._wake.wait(IDLE_POLL_SECONDS)
            if len(self._submitted) >= BATCHING_WINDOW_REQUESTS:
                self._collect_batch()

    def _run_turns(self, until: float) -> TicketEvents:
        """Turns until nothing is open, or until this time. The caller owns the turn."""
        events = self._run_turn()
        while self._busy and time.monotonic() < until:
            events += self._run_turn()
        return events

    def _run_turn(self) -> TicketEvents:
        """Accept submissions and cancellations, and step every runner. The caller owns the turn."""
        runners = self._runners.values()
        with self._wake:
            submitted, self._submitted = self._submitted, []
            cancelled, self._cancelled = self._cancelled, []
            self._busy = self._busy or bool(submitted)
        for runner, request in submitted:
            runner.accept(request)
        for ticket in cancelled:
            for runner in runners:
                runner.cancel(ticket)
        events = [event for runner in runners for event in _step(runner)]
        with self._wake:
            self._busy = any(runner.busy for runner in runners)
        return events

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

    def _abandon(self) -> None:
        with self._turn:
            with self._wake:
                submitted, self._submitted = self._submitted, []
            for runner, request in submitted:
                runner.accept(request)
            runners = self._runners.values()
            events = [event for runner in runners for event in runner.abandon(Draining())]
        self._deliver_events(events)


def _runners(
    models: Mapping[str, Artifact], options: EngineOptions, observer: Observer
) -> dict[str, Runner]:
    runners: dict[str, Runner] = {}
    for name, artifact in models.items():
        try:
            with panics_as_errors():
                runners[name] = _runner(name, artifact, options, observer)
        except Exception:
            logger.exception("refused a model: %s: it cannot be set up", name)
    return runners


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        raise StartError(error) from error


def _runner(name: str, artifact: Artifact, options: EngineOptions, observer: Observer) -> Runner:
    if isinstance(artifact.network, LanguageModel):
        return LanguageModelRunner(name, artifact, options, observer)
    return ClassifierRunner(name, artifact, options, observer)


def _step(runner: Runner) -> TicketEvents:
    """Step a runner. An exception here is a defect of the runner and fails all its requests."""
    if not runner.busy:
        return []
    try:
        return runner.step()
    except Exception:
        logger.exception("a runner failed outside of a step")
        return runner.abandon(StepFailed())
