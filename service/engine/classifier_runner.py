"""Runs the texts of one classifier: takes what waits, in batches of like length, slice by slice.

The oldest text is always in the next batch; texts of the nearest length among those that wait go
with it, as many as the token limit allows. A turn of the engine works on one slice. Knows no
other model.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.artifact import Artifact
from model.calibration import UNCALIBRATED, log_probabilities
from model.networks import Classifier
from service.engine.admission import Admission
from service.engine.errors import (
    DeadlineExceeded,
    EngineError,
    InvalidTask,
    StepFailed,
    WrongKind,
)
from service.engine.observer import EndReason, Observer
from service.engine.options import EngineOptions
from service.engine.runner import TicketEvents
from service.engine.sequence import Request, Ticket
from service.engine.tasks import Classification, Classify, Failed, Task, TextsClassified
from service.kernel.choice import make_classifier_kernel
from service.kernel.interface import FloatArray, LogitSlices

logger = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Document:
    """One text of a request, as tokens."""

    request: ClassifyRequest
    tokens: Sequence[int]
    token_count: int
    truncated: bool
    result: Classification | None = None


class ClassifyRequest(Request):
    """A Classify task and its documents."""

    def __init__(self, deadline: float | None) -> None:
        super().__init__([], deadline)
        self.documents: list[Document] = []

    @property
    def size(self) -> int:
        """Texts."""
        return len(self.documents)


@dataclass(slots=True)
class Batch:
    """What is being worked on."""

    documents: list[Document]
    slices: LogitSlices
    seconds: float = 0.0


class ClassifierRunner:
    """Implements :class:`service.engine.runner.Runner`."""

    def __init__(
        self, name: str, artifact: Artifact, options: EngineOptions, observer: Observer
    ) -> None:
        if not isinstance(artifact.network, Classifier):
            raise TypeError(f"{name} is not a classifier")
        self.name = name
        self.admission = Admission(options.rows + options.waiting)
        self._tokenizer = artifact.tokenizer
        self._longest = options.classifier_tokens
        self._batch_tokens = options.classifier_batch_tokens
        self._batch_rows = options.rows
        self._calibration = artifact.manifest.calibration or UNCALIBRATED
        self._observer = observer
        self._kernel = make_classifier_kernel(
            artifact.network,
            kernel=options.kernel,
            precision=options.precision,
            threads=options.threads,
            slice_tokens=options.classifier_slice_tokens,
        )
        self._requests: dict[Ticket, ClassifyRequest] = {}
        self._waiting: list[Document] = []  # oldest first
        self._batch: Batch | None = None

    def prepare(self, task: Task) -> ClassifyRequest:
        """Checks and tokenises a task. Any thread."""
        if not isinstance(task, Classify):
            raise WrongKind(self.name, "classifier", "language-model")
        if not 1 <= len(task.texts) <= self.admission.limit:
            raise InvalidTask(
                "texts", f"expected 1 to {self.admission.limit} texts, got {len(task.texts)}"
            )
        request = ClassifyRequest(task.deadline_seconds)
        request.documents = [self._document(request, text) for text in task.texts]
        return request

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._requests)

    def accept(self, request: Request) -> None:
        """Puts a prepared request into the queue."""
        if not isinstance(request, ClassifyRequest):
            raise TypeError("expected a request prepared by this runner")
        self._requests[request.ticket] = request
        self._waiting += request.documents
        self._tell_load()

    def cancel(self, ticket: Ticket) -> None:
        """Forgets a request; what is being worked on for it is thrown away."""
        request = self._requests.get(ticket)
        if request is not None:
            self._close(request, "cancelled")

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fails everything there is."""
        return [
            event
            for request in list(self._requests.values())
            for event in self._fail(request, error, "error")
        ]

    def hurry(self) -> None:
        """Slices are short enough as they are."""

    def step(self) -> TicketEvents:
        """One slice: what is late goes, a batch is made if there is none, work, results."""
        now = time.monotonic()
        late = [request for request in self._requests.values() if request.is_late(now)]
        events = [
            event
            for request in late
            for event in self._fail(request, DeadlineExceeded(), "deadline")
        ]
        if self._batch is None and self._waiting:
            self._batch = self._make_batch(now)
        if self._batch is not None:
            events += self._work(self._batch)
        return events

    def _work(self, batch: Batch) -> TicketEvents:
        begun = time.monotonic()
        try:
            next(batch.slices)
        except StopIteration as finished:
            self._batch = None
            seconds = batch.seconds + time.monotonic() - begun
            self._observer.step(self.name, seconds, len(batch.documents))
            return self._settle(batch.documents, finished.value)
        except Exception:
            logger.exception("a batch of %d texts failed in %s", len(batch.documents), self.name)
            self._batch = None
            return self._fail_all(batch.documents)
        batch.seconds += time.monotonic() - begun
        if not any(self._is_live(document) for document in batch.documents):
            self._batch = None  # everyone who wanted it has gone
        return []

    def _make_batch(self, now: float) -> Batch:
        """The oldest text and those nearest to it in length that fit."""
        length = len(self._waiting[0].tokens)
        nearest = sorted(self._waiting, key=lambda document: abs(len(document.tokens) - length))
        chosen: list[Document] = []
        longest = 0
        for document in nearest[: self._batch_rows]:
            longest = max(longest, len(document.tokens))
            if chosen and longest * (len(chosen) + 1) > self._batch_tokens:
                break
            chosen.append(document)
        taken = set(map(id, chosen))
        self._waiting = [document for document in self._waiting if id(document) not in taken]
        for document in chosen:
            self._observer.queued(self.name, now - document.request.submitted)
        self._tell_load()
        return Batch(chosen, self._kernel.classify([document.tokens for document in chosen]))

    def _settle(self, documents: Sequence[Document], logits_BC: FloatArray) -> TicketEvents:
        probabilities_BA = np.exp(log_probabilities(logits_BC, self._calibration))
        events: TicketEvents = []
        for document, probabilities_A in zip(documents, probabilities_BA, strict=True):
            document.result = Classification(
                tuple(map(float, probabilities_A)), document.token_count, document.truncated
            )
            self._observer.tokens(self.name, document.token_count, 0)
            results = [one.result for one in document.request.documents if one.result is not None]
            if self._is_live(document) and len(results) == document.request.size:
                self._close(document.request, "done")
                events.append((document.request.ticket, TextsClassified(tuple(results))))
        return events

    def _fail_all(self, documents: Sequence[Document]) -> TicketEvents:
        events: TicketEvents = []
        for document in documents:
            if self._is_live(document):
                events += self._fail(document.request, StepFailed(), "error")
        return events

    def _fail(
        self, request: ClassifyRequest, error: EngineError, reason: EndReason
    ) -> TicketEvents:
        self._close(request, reason)
        return [(request.ticket, Failed(error))]

    def _close(self, request: ClassifyRequest, reason: EndReason) -> None:
        del self._requests[request.ticket]
        self._waiting = [one for one in self._waiting if one.request is not request]
        self.admission.release(request.size)
        for _ in request.documents:
            self._observer.finished(self.name, reason)
        self._tell_load()

    def _is_live(self, document: Document) -> bool:
        return self._requests.get(document.request.ticket) is document.request

    def _document(self, request: ClassifyRequest, text: str | Sequence[int]) -> Document:
        try:
            tokens = (
                self._tokenizer.encode(text, self._longest) if isinstance(text, str) else list(text)
            )
        except ValueError as error:
            raise InvalidTask("texts", str(error)) from error
        read = tokens[: self._longest]
        # a text without tokens is read as [END] alone, as in training
        return Document(request, read or [self._tokenizer.end], len(read), len(tokens) > len(read))

    def _tell_load(self) -> None:
        total = sum(request.size for request in self._requests.values())
        waiting = len(self._waiting)
        self._observer.load(self.name, total - waiting, waiting)
