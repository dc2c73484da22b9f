"""One thread that serves all models: take submissions, step every runner, deliver the events.

``submit`` and ``cancel`` are thread-safe. The engine's thread passes all events of a turn to the
``deliver`` function of the constructor in one call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

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
        self._wake = threading.Condition()  # guards the four fields below
        self._submitted: list[tuple[Runner, Request]] = []
        self._cancelled: list[Ticket] = []
        self._draining = False
        self._stopping = False
        self._busy = False  # written by the loop, read by stop()
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    def start(self) -> None:
        """Start the thread, once. Raises StartError."""
        _start(self._thread)

    def submit(
        self, task: Task, ticket: Ticket, admit: Callable[[AnswerSize], None] | None = None
    ) -> None:
        """Accept a task, or refuse it at once. Thread-safe.

        ``ticket`` is any hashable value not in use; events carry it. ``admit`` gets the largest
        possible size of the answer and may raise QueueFull. Texts are tokenized in the calling
        thread, so do not call this from an event loop if texts are long. Raises UnknownModel,
        WrongKind, InvalidTask, InvalidState, ForeignState, QueueFull, Draining. After a normal
        return the task gets exactly one final event, unless it is cancelled first.
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
                self._wake.notify_all()
            self._interrupt()
        except QueueFull:
            self._observer.rejected(task.model, "queue_full")
            raise
        except Draining:
            self._observer.rejected(task.model, "draining")
            raise

    def cancel(self, ticket: Ticket) -> None:
        """Free everything the task holds before the next step. Thread-safe.

        No event follows, except those of the turn that is being delivered. Unknown and finished
        tickets are ignored.
        """
        with self._wake:
            self._cancelled.append(ticket)
            self._wake.notify_all()
        self._interrupt()

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

    def _interrupt(self) -> None:
        """Interrupt the current burst so that submissions are handled after this step."""
        for runner in self._runners.values():
            runner.interrupt()

    def _refuse_if_draining(self) -> None:
        if self._draining:
            raise Draining

    def _is_idle(self) -> bool:
        return not (self._submitted or self._busy)

    def _loop(self) -> None:
        torch.set_num_threads(self._options.threads)
        while True:
            submitted, cancelled = self._collect()
            self._heartbeat = time.monotonic()
            if self._stopping:
                break
            for runner, request in submitted:
                runner.accept(request)
            runners = self._runners.values()
            for ticket in cancelled:
                for runner in runners:
                    runner.cancel(ticket)
            self._deliver_events(_step(runners))
        self._abandon(submitted)

    def _collect(self) -> tuple[list[tuple[Runner, Request]], list[Ticket]]:
        """Take the submissions and cancellations since the last turn; wait if there is no work."""
        with self._wake:
            self._busy = any(runner.busy for runner in self._runners.values())
            if not (self._busy or self._submitted or self._cancelled or self._stopping):
                self._wake.notify_all()  # for stop(), which waits for this
                self._wake.wait(IDLE_POLL_SECONDS)
            if len(self._submitted) >= BATCHING_WINDOW_REQUESTS:
                self._collect_batch()
            submitted, self._submitted = self._submitted, []
            cancelled, self._cancelled = self._cancelled, []
            self._busy = self._busy or bool(submitted)
        return submitted, cancelled

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

    def _abandon(self, submitted: list[tuple[Runner, Request]]) -> None:
        for runner, request in submitted:
            runner.accept(request)
        runners = self._runners.values()
        self._deliver_events([event for runner in runners for event in runner.abandon(Draining())])


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
