"""Documents that grow: classified from a returned state on, at a constant cost for each token.

Such a document is read by :mod:`service.kernel.documents.document_reader`, alone and in float32,
whatever precision is served.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

from model.architecture import ClassifierArchitecture
from model.storage.stored_artifact import StoredArtifact
from model.storage.weights import Weights
from service.engine.api.errors import InvalidTask
from service.engine.api.options import EngineOptions
from service.engine.api.tasks import Classify
from service.engine.states.document_state_token import DocumentStateTokenCodec
from service.kernel.api.interface import FloatArray
from service.kernel.documents.document_reader import (
    DocumentReader,
    DocumentState,
    obstacle_to_reading_on,
)


class GrownDocument(NamedTuple):
    """Logits (1, labels) of a document, and its state."""

    logits_1C: FloatArray
    state: DocumentState


class GrowingDocuments:
    """Reads the growing documents of one classifier."""

    def __init__(
        self,
        artifact: StoredArtifact,
        weights: Weights[ClassifierArchitecture],
        options: EngineOptions,
    ) -> None:
        self._obstacle = obstacle_to_reading_on(weights.architecture)
        self._end = artifact.tokenizer.end
        self._codec = DocumentStateTokenCodec(
            options.state_key, artifact, weights.architecture, bound=options.bind_states_to_keys
        )
        self._optional_reader: DocumentReader | None = None
        if self._obstacle is None:
            self._optional_reader = DocumentReader(weights, options.classifier_slice_tokens)

    def start(self, task: Classify) -> DocumentState | None:
        """The state from which the text of a task is read; None if no state is involved.

        Raises InvalidTask if the model has no such states or the task has several texts,
        InvalidState and ForeignState for a state of another origin.
        """
        if task.state is None and not task.return_state:
            return None
        field = "return_state" if task.state is None else "state"
        if self._obstacle is not None:
            raise InvalidTask(field, f"{self._obstacle}; send the whole text without {field}")
        if len(task.texts) != 1:
            raise InvalidTask(field, f"expected one text, got {len(task.texts)}")
        if task.state is None:
            return self._reader.first()
        return self._codec.decode(task.state, task.tenant)

    def read(
        self, tokens: Sequence[int], start: DocumentState
    ) -> Generator[None, None, GrownDocument]:
        """A generator that yields between slices and returns the document after the tokens.

        A document without any token is classified as [END] alone, as in training; its state is the
        first one.
        """
        state = yield from self._reader.read(tokens, start)
        classified = state
        if state.token_count == 0:
            classified = yield from self._reader.read([self._end], state)
        return GrownDocument(self._reader.logits(classified), state)

    @property
    def _reader(self) -> DocumentReader:
        """The reader of a model without an obstacle."""
        assert self._optional_reader is not None
        return self._optional_reader

    def token(self, state: DocumentState, tenant: str) -> str:
        """The state as a token for the client."""
        return self._codec.encode(state, tenant)
