"""The inspectors of the models that are served, created at the first request."""

from __future__ import annotations

from collections.abc import Mapping

from model.artifact import Artifact
from service.engine.api.errors import UnknownModel, WrongKind
from service.engine.states.state_token import StateTokenCodec
from service.inspection.classifier import ClassifierInspector
from service.inspection.language_model import LanguageModelInspector, Start


class Inspectors:
    """Inspectors and kept states by the name of the model. For use in one thread.

    Args:
        artifacts: the models that are served.
        state_key: the key that signs state tokens.
        bind_states_to_keys: whether a state is of use only to the tenant that it was given to.
        most_tokens: of a text that is inspected.
    """

    def __init__(
        self,
        artifacts: Mapping[str, Artifact],
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

    def for_artifacts(self, artifacts: Mapping[str, Artifact]) -> Inspectors:
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
        """Raises UnknownModel, and WrongKind for a classifier."""
        if self.is_classifier(name):
            raise WrongKind(name, "classifier", "language-model")
        if name not in self._language_models:
            self._language_models[name] = LanguageModelInspector(
                self._artifact(name), self._most_tokens
            )
        return self._language_models[name]

    def classifier(self, name: str) -> ClassifierInspector:
        """Raises UnknownModel, and WrongKind for a language model."""
        if not self.is_classifier(name):
            raise WrongKind(name, "language-model", "classifier")
        if name not in self._classifiers:
            self._classifiers[name] = ClassifierInspector(self._artifact(name), self._most_tokens)
        return self._classifiers[name]

    def start(self, name: str, state: str | None, tenant: str) -> Start:
        """Where reading begins: at the beginning of a text, or where a state token stands.

        Raises:
            InvalidState: the token is damaged or was not signed with this key.
            ForeignState: it belongs to another model.
        """
        inspector = self.language_model(name)
        if state is None:
            return inspector.first()
        codec = StateTokenCodec(
            self._key, self._artifact(name), inspector.network, bound=self._bound
        )
        snapshot = codec.decode(state, tenant)
        return Start(snapshot.state, snapshot.last)

    def _artifact(self, name: str) -> Artifact:
        artifact = self._artifacts.get(name)
        if artifact is None:
            raise UnknownModel(name)
        return artifact
