"""One thread that serves all models: drain the inbox, step every runner, deliver the events.

Knows no HTTP and no asyncio. ``submit`` and ``cancel`` may be called from any thread; events
come back through the ``deliver`` function given to the constructor, called in the engine's
thread once per turn with everything that happened in it.
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
NAP_SECONDS = 0.2  # how long an idle loop sleeps before it shows that it is alive
# A crowd comes in faster, and has its answers sooner, while the loop leaves the processors to who
# takes it in: the loop waits as long as one follows the other, within limits.
CROWD = 2
CROWD_GAP_SECONDS = 0.001
CROWD_SECONDS = 0.025
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
        """Packs the weights. ``deliver`` must be quick and must not raise.

        A model that cannot be set up is logged and left out of :attr:`models`. Raises StartError
        where no thread can be started.
        """
        self._options = options
        self._observer = observer or Observer()
        self._deliver = deliver
        self._runners = _runners(models, options, self._observer)
        _start(threading.Thread(target=lambda: None))  # says now if there will be no thread
        self._wake = threading.Condition()  # guards the four fields below
        self._submitted: list[tuple[Runner, Request]] = []
        self._cancelled: list[Ticket] = []
        self._draining = False
        self._stopping = False
        self._busy = False  # written by the loop, read by stop()
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)

    def start(self) -> None:
        """Starts the thread. Once. Raises StartError."""
        _start(self._thread)

    def submit(
        self, task: Task, ticket: Ticket, admit: Callable[[AnswerSize], None] | None = None
    ) -> None:
        """Takes a task, or refuses it at once; thread-safe.

        ``ticket`` is the caller's name for the task, any hashable value not in use; events
        carry it. ``admit`` is told how large the answer may be and may raise QueueFull.
        Tokenizes in this thread, so call it off the event loop if texts are long.
        Raises UnknownModel, WrongKind, InvalidTask, QueueFull, Draining. When it returns, the
        task will get exactly one final event, unless it is cancelled first.
        """
        submitted = time.monotonic()
        runner = self._runners.get(task.model)
        if runner is None:
            raise UnknownModel(task.model)
        try:
            self._refuse_if_draining()
            runner.admission.check(1, task.client)  # before any work is put into it
            request = runner.prepare(task)
            request.ticket, request.client, request.submitted = ticket, task.client, submitted
            if admit is not None:
                admit(request.answer)
            with self._wake:
                self._refuse_if_draining()
                runner.admission.take(request.size, request.client)
                self._submitted.append((runner, request))
                self._wake.notify_all()
            self._hurry()
        except QueueFull:
            self._observer.rejected(task.model, "queue_full")
            raise
        except Draining:
            self._observer.rejected(task.model, "draining")
            raise

    def cancel(self, ticket: Ticket) -> None:
        """Frees everything the task holds before the next step; thread-safe.

        No event follows except those of the turn that is being delivered. An unknown or
        finished ticket is ignored.
        """
        with self._wake:
            self._cancelled.append(ticket)
            self._wake.notify_all()
        self._hurry()

    def drain(self) -> None:
        """Refuses new tasks from now on; those taken go on to their end. Thread-safe."""
        with self._wake:
            self._draining = True

    def stop(self, timeout: float) -> bool:
        """Drains, waits up to ``timeout`` seconds, then ends the thread.

        What is left after that gets ``Failed(Draining())``. True if nothing was left. May be
        called more than once, and before ``start``.
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
        """The names of the models that are being served."""
        return self._runners.keys()

    @property
    def draining(self) -> bool:
        """Whether new tasks are refused."""
        return self._draining

    def heartbeat_age(self) -> float:
        """Seconds since the loop last moved.

        While the thread is well it stays under a second or the length of the longest step,
        also while idle.
        """
        return time.monotonic() - self._heartbeat

    def _hurry(self) -> None:
        """What was said should be heard after the step under way, not after the burst."""
        for runner in self._runners.values():
            runner.hurry()

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
            self._hand_over([event for runner in runners for event in _step(runner)])
        self._abandon(submitted)

    def _collect(self) -> tuple[list[tuple[Runner, Request]], list[Ticket]]:
        """What came in since the last turn; sleeps a while if there is nothing at all to do."""
        with self._wake:
            self._busy = any(runner.busy for runner in self._runners.values())
            if not (self._busy or self._submitted or self._cancelled or self._stopping):
                self._wake.notify_all()  # for stop(), which waits for this
                self._wake.wait(NAP_SECONDS)
            if len(self._submitted) >= CROWD:
                self._let_in()
            submitted, self._submitted = self._submitted, []
            cancelled, self._cancelled = self._cancelled, []
            self._busy = self._busy or bool(submitted)
        return submitted, cancelled

    def _let_in(self) -> None:
        """Waits for the rest of a crowd. The caller holds the lock, which is free meanwhile."""
        latest = time.monotonic() + CROWD_SECONDS
        while self._wake.wait(CROWD_GAP_SECONDS) and time.monotonic() < latest:
            pass

    def _hand_over(self, events: TicketEvents) -> None:
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
        self._hand_over([event for runner in runners for event in runner.abandon(Draining())])


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
    """A runner fails its own sequences; what gets here is a defect, and ends what it has."""
    if not runner.busy:
        return []
    try:
        return runner.step()
    except Exception:
        logger.exception("a runner failed outside of a step")
        return runner.abandon(StepFailed())
