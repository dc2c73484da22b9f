"""The documents of requests to a classifier, and their batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from service.engine.api.tasks import (
    Classification,
    Classify,
    Embed,
    Embedding,
    TextsClassified,
    TextsEmbedded,
)
from service.engine.scheduling.sequence import AnswerSize, Request, embedding_size
from service.kernel.api.interface import LogitSlices
from service.kernel.documents.document_reader import DocumentState


@dataclass(eq=False, slots=True)
class PendingDocument:
    """One text of a request, as tokens.

    ``start`` and ``end``: the states before and after the text of a document that grows.
    """

    request: ClassificationRequest
    tokens: Sequence[int]
    token_count: int
    unknown_tokens: int
    truncated: bool
    result: Classification | Embedding | None = None
    start: DocumentState | None = None
    end: DocumentState | None = None


class ClassificationRequest(Request):
    """A Classify or Embed task and its documents."""

    def __init__(self, task: Classify | Embed, features: int) -> None:
        self.embeds = isinstance(task, Embed)
        size = embedding_size(len(task.texts), features) if self.embeds else AnswerSize(0, 0)
        super().__init__([], task.deadline_seconds, size)
        self.tenant = task.tenant if isinstance(task, Classify) else ""
        self.return_state = isinstance(task, Classify) and task.return_state
        self.documents: list[PendingDocument] = []

    @property
    def size(self) -> int:
        """The number of texts."""
        return len(self.documents)

    def answer_event(
        self, labels: tuple[str, ...], thresholds: tuple[float, ...] | None = None
    ) -> TextsClassified | TextsEmbedded | None:
        """The answer, if all documents have results."""
        results = [document.result for document in self.documents]
        if any(result is None for result in results):
            return None
        if self.embeds:
            return TextsEmbedded(tuple(r for r in results if isinstance(r, Embedding)))
        classified = tuple(r for r in results if isinstance(r, Classification))
        return TextsClassified(classified, labels, thresholds)


@dataclass(slots=True)
class DocumentBatch:
    """Documents that are classified together. ``slices`` computes their logits."""

    documents: Sequence[PendingDocument]
    slices: LogitSlices
    cpu_seconds: float = 0.0
