"""The runner of one classifier: batches texts of similar length and processes them in slices.

A batch starts with the first text in fair order (:mod:`service.engine.scheduling.fair_queue`).
Texts of similar length join it, those of the same request first, up to the token limit. A turn of
the engine processes one slice. A request without a text in a current batch need not wait for the
end of these batches: up to MAX_BATCHES take turns, slice by slice. A document that grows
(:mod:`service.engine.runners.growing_documents`) is a batch of its own.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from model.architecture import ClassifierArchitecture
from model.calibration import UNCALIBRATED, log_probabilities
from model.storage.stored_artifact import StoredArtifact
from model.storage.weights import Weights, classifier_weights
from service.engine.api.errors import (
    DeadlineExceeded,
    Draining,
    EngineError,
    InvalidTask,
    StepFailed,
    WrongKind,
)
from service.engine.api.observer import EndReason, Observer
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import (
    Classification,
    Classify,
    Embed,
    Embedding,
    Task,
)
from service.engine.runners.documents import ClassificationRequest, DocumentBatch, PendingDocument
from service.engine.runners.growing_documents import GrowingDocuments
from service.engine.scheduling.admission import Admission
from service.engine.scheduling.fair_queue import FairQueue
from service.engine.scheduling.request_table import RequestTable
from service.engine.scheduling.runner import TicketEvents
from service.engine.scheduling.sequence import Request, Ticket
from service.engine.scheduling.turn_times import TurnTimes
from service.kernel.api.interface import FloatArray, LogitSlices
from service.kernel.documents.document_reader import DocumentState
from service.kernel.factory import make_classifier_kernel
from service.kernel.self_test import check_classifier

logger = logging.getLogger(__name__)
MAX_BATCHES = 4  # current at the same time
MAX_LONG_BATCHES = 2  # of these, batches whose first text exceeds a slice
LENGTH_RATIO = 2.0  # of texts in one batch
LENGTH_SLACK = 16  # tokens; texts that differ by fewer share a batch at any ratio


class ClassifierRunner:
    """Implements :class:`service.engine.scheduling.runner.Runner`."""

    def __init__(
        self, name: str, artifact: StoredArtifact, options: EngineOptions, observer: Observer
    ) -> None:
        weights = classifier_weights(artifact.weights.take())
        self.name = name
        self.admission = Admission(options.rows + options.waiting, rows=options.rows)
        self._tokenizer = artifact.tokenizer
        self._longest = options.classifier_tokens
        self._batch_tokens = options.classifier_batch_tokens
        self._slice_tokens = options.classifier_slice_tokens
        self._batch_rows = options.rows
        self._calibration = artifact.manifest.calibration or UNCALIBRATED
        self._labels = artifact.manifest.answers
        self._untested: Weights[ClassifierArchitecture] | None = weights
        self._exact = options.kernel == "torch" or options.precision == "float32"
        self._observer = observer
        self._kernel = make_classifier_kernel(
            weights,
            kernel=options.kernel,
            precision=options.precision,
            threads=options.threads,
            slice_tokens=options.classifier_slice_tokens,
        )
        self._growing = GrowingDocuments(artifact, weights, options)
        self._requests: RequestTable[ClassificationRequest] = RequestTable(self._release)
        self._waiting: FairQueue[PendingDocument] = FairQueue()
        self._batches: deque[DocumentBatch] = deque()  # the next to be worked on first
        self._times = TurnTimes()  # of a batch, by tokens
        self._any_thread = options.kernel == "native"  # torch has a number of threads for each

    def self_test(self) -> None:
        """Compare the kernel with the network, once and before the first request. Raises
        SelfTestError.
        """
        weights, self._untested = self._untested, None
        if weights is not None:
            check_classifier(
                self._kernel,
                weights,
                exact=self._exact,
                multi_label=self._calibration.thresholds is not None,
            )

    def prepare(self, task: Task) -> ClassificationRequest:
        """Check and tokenize a task. Thread-safe."""
        if not isinstance(task, Classify | Embed):
            raise WrongKind(self.name, "classifier", "language-model")
        if not 1 <= len(task.texts) <= self.admission.limit:
            raise InvalidTask(
                "texts", f"expected 1 to {self.admission.limit} texts, got {len(task.texts)}"
            )
        if isinstance(task, Embed):
            self._check_ids(task)
        request = ClassificationRequest(task, self._kernel.features)
        start = self._growing.start(task) if isinstance(task, Classify) else None
        request.documents = [self._document(request, text, start) for text in task.texts]
        read = sum(document.token_count for document in request.documents)
        request.answer = request.answer._replace(read=read)
        return request

    def _check_ids(self, task: Embed) -> None:
        """Raises InvalidTask for token ids that the model does not have."""
        last = self._tokenizer.size - 1
        for text in task.texts:
            if not isinstance(text, str) and not (text and 0 <= min(text) <= max(text) <= last):
                raise InvalidTask(task.field, f"expected lists of token ids from 0 to {last}")

    @property
    def busy(self) -> bool:
        """Whether there are open requests."""
        return bool(self._requests)

    @property
    def ready(self) -> bool:
        """Whether there are open requests: none is held."""
        return self.busy

    def accept(self, request: Request) -> None:
        """Queue a prepared request."""
        if not isinstance(request, ClassificationRequest):
            raise TypeError("expected a request prepared by this runner")
        self._requests.add(request)
        self._waiting.put(request.client, request, request.documents)
        self._report_load()

    def cancel(self, ticket: Ticket) -> None:
        """Drop a request and its results."""
        self._requests.cancel(ticket)

    def hold(self, ticket: Ticket, *, held: bool) -> None:
        """Do nothing: an answer has one event."""

    def abandon(self, error: EngineError) -> TicketEvents:
        """Fail all requests."""
        return self._requests.abandon(error)

    def drain(self) -> TicketEvents:
        """Fail all requests: there is no partial answer."""
        return self.abandon(Draining())

    def seconds_for(self, requests: Sequence[Request]) -> float:
        """The estimated time for these requests alone. Infinite for documents that grow, which
        are read with NumPy.
        """
        tokens = 0
        for request in requests:
            if not isinstance(request, ClassificationRequest) or not self._any_thread:
                return math.inf
            if any(document.start is not None for document in request.documents):
                return math.inf
            tokens += sum(len(document.tokens) for document in request.documents)
        return self._times.estimate(tokens)

    def interrupt(self) -> None:
        """Do nothing: slices are short."""

    def step(self, *, alone: bool = True) -> TicketEvents:  # noqa: ARG002
        """One slice: expire requests, start a batch if one is due, compute, return results."""
        now = time.monotonic()
        events = [
            event
            for request in self._requests.late(now)
            for event in self._requests.fail(request, DeadlineExceeded(), "deadline")
        ]
        first = self._first_document()
        if first is not None:
            self._batches.appendleft(self._make_batch(first, now))
        if self._batches:
            events += self._work(self._batches.popleft())
        return events

    def _first_document(self) -> PendingDocument | None:
        """The text that a new batch should start with; None if no batch is due."""
        if len(self._batches) >= MAX_BATCHES:
            return None
        in_batches = {
            document.request.ticket for batch in self._batches for document in batch.documents
        }
        full = sum(map(self._is_long, self._batches)) >= MAX_LONG_BATCHES
        for document in self._waiting.firsts():
            is_long = len(document.tokens) > self._slice_tokens
            if document.request.ticket not in in_batches and not (is_long and full):
                return document
        return None

    def _is_long(self, batch: DocumentBatch) -> bool:
        return len(batch.documents[0].tokens) > self._slice_tokens

    def _work(self, batch: DocumentBatch) -> TicketEvents:
        begun, cpu_begun = time.monotonic(), time.thread_time()
        try:
            next(batch.slices)
        except StopIteration as finished:
            self._count_slice(batch, begun)
            events = self._settle(batch.documents, finished.value)
            tokens = sum(len(document.tokens) for document in batch.documents)
            self._times.record(tokens, batch.cpu_seconds + time.thread_time() - cpu_begun)
            return events
        except Exception:
            logger.exception("a batch of %d texts failed in %s", len(batch.documents), self.name)
            return self._divide(batch.documents)
        self._count_slice(batch, begun)
        batch.cpu_seconds += time.thread_time() - cpu_begun
        if any(document.request in self._requests for document in batch.documents):
            self._batches.append(batch)
        return []

    def _count_slice(self, batch: DocumentBatch, begun: float) -> None:
        self._observer.steps(self.name, time.monotonic() - begun, [len(batch.documents)])

    def _divide(self, documents: Sequence[PendingDocument]) -> TicketEvents:
        """After a failure: retry each half separately, so that only the failing text fails."""
        if len(documents) == 1:
            return self._fail_text(documents[0])
        half = len(documents) // 2
        self._batches.extendleft(map(self._batch, (documents[:half], documents[half:])))
        return []

    def _batch(self, documents: Sequence[PendingDocument]) -> DocumentBatch:
        first = documents[0]
        if first.start is not None:
            return DocumentBatch(documents, self._read_on(first, first.start))
        run = self._kernel.embed if first.request.embeds else self._kernel.classify
        return DocumentBatch(documents, run([document.tokens for document in documents]))

    def _read_on(self, document: PendingDocument, start: DocumentState) -> LogitSlices:
        logits_1C, document.end = yield from self._growing.read(document.tokens, start)
        return logits_1C

    def _make_batch(self, first: PendingDocument, now: float) -> DocumentBatch:
        """The first text and the similar texts that fit the token limit."""
        chosen: list[PendingDocument] = []
        longest = 0
        for document in self._similar(first)[: self._batch_rows]:
            longest = max(longest, len(document.tokens))
            if chosen and longest * (len(chosen) + 1) > self._batch_tokens:
                break
            chosen.append(document)
        for document in chosen:
            self._waiting.take(document.request, document, len(document.tokens))
        for document in chosen:
            self._observer.queued(self.name, now - document.request.submitted)
            self.admission.started(document.request.client, now - document.request.submitted)
            document.request.start()
        self._report_load()
        return self._batch(chosen)

    def _similar(self, first: PendingDocument) -> list[PendingDocument]:
        """The texts that may share a batch with the first one, which leads the list. Texts of its
        request follow, then the nearest in length.
        """
        if first.start is not None:
            return [first]
        length = len(first.tokens)
        shortest = min(length / LENGTH_RATIO, length - LENGTH_SLACK)
        longest = max(length * LENGTH_RATIO, length + LENGTH_SLACK)
        similar = [
            document
            for document in self._waiting
            if document.start is None
            and document.request.embeds is first.request.embeds
            and shortest <= len(document.tokens) <= longest
        ]
        return sorted(
            similar,
            key=lambda document: (
                document is not first,
                document.request is not first.request,
                abs(len(document.tokens) - length),
            ),
        )

    def _settle(self, documents: Sequence[PendingDocument], outputs_BX: FloatArray) -> TicketEvents:
        """The events of documents with logits or features."""
        if not documents[0].request.embeds:
            outputs_BX = np.exp(log_probabilities(outputs_BX, self._calibration))
        events: TicketEvents = []
        for document, output_X in zip(documents, outputs_BX, strict=True):
            if not np.isfinite(output_X).all():
                logger.error("a text has logits that are not finite numbers in %s", self.name)
                events += self._fail_text(document)
                continue
            document.result = self._result(document, output_X)
            self._observer.tokens(self.name, document.token_count, 0)
            self.admission.progress(document.token_count)
            answer = document.request.answer_event(self._labels, self._calibration.thresholds)
            if document.request in self._requests and answer is not None:
                self._requests.close(document.request, "done")
                events.append((document.request.ticket, answer))
        return events

    def _result(
        self, document: PendingDocument, output_X: FloatArray
    ) -> Classification | Embedding:
        if document.request.embeds:
            return Embedding(output_X, document.token_count, document.truncated)
        return Classification(
            tuple(map(float, output_X)),
            document.token_count,
            document.unknown_tokens,
            document.truncated,
            self._state_token(document),
        )

    def _state_token(self, document: PendingDocument) -> str | None:
        if document.end is None or not document.request.return_state:
            return None
        return self._growing.token(document.end, document.request.tenant)

    def _fail_text(self, document: PendingDocument) -> TicketEvents:
        if document.request not in self._requests:
            return []
        return self._requests.fail(document.request, StepFailed())

    def _release(self, request: ClassificationRequest, reason: EndReason) -> None:
        self._waiting.discard(request)
        unread = sum(document.token_count for document in request.documents if not document.result)
        self.admission.release(request.size, request.client, unread)
        for _ in request.documents:
            self._observer.finished(self.name, reason)
        self._report_load()

    def _document(
        self,
        request: ClassificationRequest,
        text: str | Sequence[int],
        start: DocumentState | None,
    ) -> PendingDocument:
        try:
            tokens = (
                self._tokenizer.encode(text, self._longest) if isinstance(text, str) else list(text)
            )
        except ValueError as error:
            raise InvalidTask("texts", str(error)) from error
        read = tokens[: self._longest]
        # As in training, a text without tokens is read as [END] alone.
        return PendingDocument(
            request,
            tokens=read if read or start is not None else [self._tokenizer.end],
            token_count=len(read),
            unknown_tokens=sum(token == self._tokenizer.unknown for token in read),
            truncated=len(tokens) > len(read),
            start=start,
        )

    def _report_load(self) -> None:
        total = self._requests.sequence_count
        waiting = len(self._waiting)
        self._observer.load(self.name, total - waiting, waiting)
