"""The inspectors of the models that are served, created at the first request of each.

Importing this module loads torch; :mod:`service.backend.inspectors_on_demand` does so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from model.architecture import LanguageModelArchitecture
from model.errors import ArtifactError
from model.state import State
from model.storage.stored_artifact import StoredArtifact
from service.engine.api.errors import InspectionUnavailable, UnknownModel, WrongKind
from service.engine.states.state_token import StateTokenCodec
from service.inspection.cancellation import Cancellation
from service.inspection.classifier import ClassifierInspector
from service.inspection.document_fields import document_fields
from service.inspection.language_model import LanguageModelInspector, Start
from service.inspection.queries import DocumentQuery, TextQuery
from service.inspection.text_fields import text_fields
from service.kernel.api.row_state import RowState

Inspector = TypeVar("Inspector", LanguageModelInspector, ClassifierInspector)


class Inspectors:
    """Inspectors and kept states by the name of the model, for use in one thread.

    Args:
        artifacts: the models that are served.
        state_key: the key that signs state tokens.
        bind_states_to_keys: whether a state is of use only to the tenant that it was given to.
        most_tokens: of a text that is inspected.
    """

    def __init__(
        self,
        artifacts: Mapping[str, StoredArtifact],
        state_key: bytes,
        *,
        bind_states_to_keys: bool,
        most_tokens: int,
    ) -> None:
        self._most_tokens = most_tokens
        self._artifacts = artifacts
        self._key = state_key
        self._bound = bind_states_to_keys
        self._language_models: dict[str, LanguageModelInspector] = {}
        self._classifiers: dict[str, ClassifierInspector] = {}

    def for_artifacts(self, artifacts: Mapping[str, StoredArtifact]) -> Inspectors:
        """Inspectors of other artifacts, with those of unchanged models. Running inspections keep
        the earlier ones.
        """
        changed = Inspectors(
            artifacts, self._key, bind_states_to_keys=self._bound, most_tokens=self._most_tokens
        )
        for name, artifact in artifacts.items():
            if artifact is self._artifacts.get(name):
                if (language_model := self._language_models.get(name)) is not None:
                    changed._language_models[name] = language_model
                if (classifier := self._classifiers.get(name)) is not None:
                    changed._classifiers[name] = classifier
        return changed

    def is_classifier(self, name: str) -> bool:
        """Whether the model is one. Raises UnknownModel."""
        return self._artifact(name).manifest.kind == "classifier"

    def language_model(self, name: str) -> LanguageModelInspector:
        """Raises UnknownModel, InspectionUnavailable, and WrongKind for a classifier."""
        if self.is_classifier(name):
            raise WrongKind(name, "classifier", "language-model")
        if name not in self._language_models:
            self._language_models[name] = self._created(name, LanguageModelInspector)
        return self._language_models[name]

    def classifier(self, name: str) -> ClassifierInspector:
        """Raises UnknownModel, InspectionUnavailable, and WrongKind for a language model."""
        if not self.is_classifier(name):
            raise WrongKind(name, "language-model", "classifier")
        if name not in self._classifiers:
            self._classifiers[name] = self._created(name, ClassifierInspector)
        return self._classifiers[name]

    def text_fields(
        self, name: str, query: TextQuery, start: Start, cancellation: Cancellation
    ) -> dict[str, Any]:
        """See :func:`service.inspection.text_fields.text_fields`."""
        return text_fields(self.language_model(name), query, start, cancellation)

    def document_fields(
        self, name: str, query: DocumentQuery, cancellation: Cancellation
    ) -> dict[str, Any]:
        """See :func:`service.inspection.document_fields.document_fields`."""
        return document_fields(self.classifier(name), query, cancellation)

    def start(self, name: str, state: str | None, tenant: str) -> Start:
        """Where reading begins: at the beginning of a text, or where a state token stands.

        Raises:
            InvalidState: the token is damaged or was not signed with this key.
            ForeignState: it belongs to another model.
        """
        inspector, artifact = self.language_model(name), self._artifact(name)
        if state is None:
            return inspector.first()
        architecture = artifact.architecture
        assert isinstance(architecture, LanguageModelArchitecture)
        codec = StateTokenCodec(self._key, artifact, architecture, bound=self._bound)
        snapshot = codec.decode(state, tenant)
        return Start(batch_of(snapshot.state), snapshot.last)

    def _created(self, name: str, create: Callable[[StoredArtifact, int], Inspector]) -> Inspector:
        try:
            return create(self._artifact(name), self._most_tokens)
        except ArtifactError as error:
            message = f"the files of {name!r} have changed since it was loaded: {error.reason}"
            raise InspectionUnavailable(message) from error

    def _artifact(self, name: str) -> StoredArtifact:
        artifact = self._artifacts.get(name)
        if artifact is None:
            raise UnknownModel(name)
        return artifact


def compute_with_one_thread() -> None:
    """Let torch use one thread of the processor for computations of the calling thread."""
    torch.set_num_threads(1)


def batch_of(state: RowState) -> State:
    """A batch of this state alone."""
    return State(*(torch.from_numpy(part_LH).unsqueeze(1) for part_LH in state.values_PLH))
