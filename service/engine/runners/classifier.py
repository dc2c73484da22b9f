"""Runs the texts of one classifier: takes what waits, in batches of like length, slice by slice.

A batch begins with the text whose turn it is (:mod:`service.engine.scheduling.fair_queue`); the
texts of its request, then others that wait, go with it if they are of like length, as many as the
token limit allows. A turn of the engine works on one slice. A request that has no text in a batch
under way does not wait for its end: a few batches take turns, slice by slice. Knows no other model.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.artifact import Artifact
from model.calibration import UNCALIBRATED, log_probabilities
from model.networks import Classifier
from service.engine.api.errors import (
    DeadlineExceeded,
    EngineError,
    InvalidTask,
    StepFailed,
    WrongKind,
)
from service.engine.api.observer import EndReason, Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Classification, Classify, Failed, Task, TextsClassified
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.fair_queue import FairQueue
from service.engine.scheduling.runner import TicketEvents
from service.engine.scheduling.sequence import Request, Ticket
from service.kernel.api.interface import FloatArray, LogitSlices
from service.kernel.factory import make_classifier_kernel

logger = logging.getLogger(__name__)
MOST_BATCHES = 4  # under way at once ...
MOST_LONG_BATCHES = 2  # ... of them such whose first text takes more than a slice
LIKE_LENGTH = 2.0  # times as long or short as the text that a batch begins with ...
FEW_TOKENS = 16  # ... or so many tokens more or fewer


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

    documents: Sequence[Document]
    slices: LogitSlices
    seconds: float = 0.0


class ClassifierRunner:
    """Implements :class:`service.engine.scheduling.runner.Runner`."""

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
        self._slice_tokens = options.classifier_slice_tokens
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
        self._waiting: FairQueue[Document] = FairQueue()
        self._batches: deque[Batch] = deque()  # the next to be worked on first

    def prepare(self, task: Task) -> ClassifyRequest:
        """Checks and tokenizes a task. Any thread."""
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
        self._waiting.put(request.client, request, request.documents)
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
        """One slice: what is late goes, a batch begins if one is due, work, results."""
        now = time.monotonic()
        late = [request for request in self._requests.values() if request.is_late(now)]
        events = [
            event
            for request in late
            for event in self._fail(request, DeadlineExceeded(), "deadline")
        ]
        leader = self._leader()
        if leader is not None:
            self._batches.appendleft(self._make_batch(leader, now))
        if self._batches:
            events += self._work(self._batches.popleft())
        return events

    def _leader(self) -> Document | None:
        """The text that a batch should begin with now; None if all can wait for those under way."""
        if len(self._batches) >= MOST_BATCHES:
            return None
        under_way = {one.request.ticket for batch in self._batches for one in batch.documents}
        full = sum(map(self._is_long, self._batches)) >= MOST_LONG_BATCHES
        for document in self._waiting.firsts():
            is_long = len(document.tokens) > self._slice_tokens
            if document.request.ticket not in under_way and not (is_long and full):
                return document
        return None

    def _is_long(self, batch: Batch) -> bool:
        return len(batch.documents[0].tokens) > self._slice_tokens

    def _work(self, batch: Batch) -> TicketEvents:
        begun = time.monotonic()
        try:
            next(batch.slices)
        except StopIteration as finished:
            seconds = batch.seconds + time.monotonic() - begun
            self._observer.step(self.name, seconds, len(batch.documents))
            return self._settle(batch.documents, finished.value)
        except Exception:
            logger.exception("a batch of %d texts failed in %s", len(batch.documents), self.name)
            return self._divide(batch.documents)
        batch.seconds += time.monotonic() - begun
        if any(self._is_live(document) for document in batch.documents):  # else nobody wants it
            self._batches.append(batch)
        return []

    def _divide(self, documents: Sequence[Document]) -> TicketEvents:
        """After a failure: tries each half by itself, so that only the text that fails fails."""
        if len(documents) == 1:
            return self._fail_text(documents[0])
        half = len(documents) // 2
        self._batches.extendleft(map(self._batch, (documents[:half], documents[half:])))
        return []

    def _batch(self, documents: Sequence[Document]) -> Batch:
        return Batch(documents, self._kernel.classify([one.tokens for one in documents]))

    def _make_batch(self, leader: Document, now: float) -> Batch:
        """The text whose turn it is and those like it in length that fit."""
        chosen: list[Document] = []
        longest = 0
        for document in self._like(leader)[: self._batch_rows]:
            longest = max(longest, len(document.tokens))
            if chosen and longest * (len(chosen) + 1) > self._batch_tokens:
                break
            chosen.append(document)
        for document in chosen:
            self._waiting.take(document.request, document, len(document.tokens))
        for document in chosen:
            self._observer.queued(self.name, now - document.request.submitted)
        self._tell_load()
        return self._batch(chosen)

    def _like(self, leader: Document) -> list[Document]:
        """The texts that may share a batch with this one: it, its request's, those nearest to it in
        length.
        """
        length = len(leader.tokens)
        shortest = min(length / LIKE_LENGTH, length - FEW_TOKENS)
        longest = max(length * LIKE_LENGTH, length + FEW_TOKENS)
        like = [one for one in self._waiting if shortest <= len(one.tokens) <= longest]
        return sorted(
            like,
            key=lambda one: (
                one is not leader,
                one.request is not leader.request,
                abs(len(one.tokens) - length),
            ),
        )

    def _settle(self, documents: Sequence[Document], logits_BC: FloatArray) -> TicketEvents:
        probabilities_BA = np.exp(log_probabilities(logits_BC, self._calibration))
        events: TicketEvents = []
        for document, probabilities_A in zip(documents, probabilities_BA, strict=True):
            if not np.isfinite(probabilities_A).all():
                logger.error("a text has logits that are not finite numbers in %s", self.name)
                events += self._fail_text(document)
                continue
            document.result = Classification(
                tuple(map(float, probabilities_A)), document.token_count, document.truncated
            )
            self._observer.tokens(self.name, document.token_count, 0)
            results = [one.result for one in document.request.documents if one.result is not None]
            if self._is_live(document) and len(results) == document.request.size:
                self._close(document.request, "done")
                events.append((document.request.ticket, TextsClassified(tuple(results))))
        return events

    def _fail_text(self, document: Document) -> TicketEvents:
        if not self._is_live(document):
            return []
        return self._fail(document.request, StepFailed(), "error")

    def _fail(
        self, request: ClassifyRequest, error: EngineError, reason: EndReason
    ) -> TicketEvents:
        self._close(request, reason)
        return [(request.ticket, Failed(error))]

    def _close(self, request: ClassifyRequest, reason: EndReason) -> None:
        del self._requests[request.ticket]
        self._waiting.discard(request)
        self.admission.release(request.size, request.client)
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
