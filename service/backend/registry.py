"""The models that are served, and the artifacts that were refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from model.storage.stored_artifact import StoredArtifact
from service.backend.inspectors_on_demand import InspectorsOnDemand
from service.backend.settings import Settings

ModelKind = Literal["language-model", "classifier"]
MODEL_KINDS: tuple[ModelKind, ...] = ("language-model", "classifier")


class RegistryError(Exception):
    """The service cannot start with these models; the message contains the remedy."""


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    """Artifacts by name, in alphabetical order, and the default of each kind. ``refused``: the
    reason by the name of the directory.
    """

    artifacts: Mapping[str, StoredArtifact] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    def is_default(self, name: str) -> bool:
        """Whether this model is used if a request names none."""
        return name in self.defaults.values()


class ServedModels:
    """The registry of the moment and its inspectors. Replaced as a whole in the event loop."""

    def __init__(self, inspectors: InspectorsOnDemand) -> None:
        self.registry = ModelRegistry()
        self.inspectors = inspectors

    def load_inspectors(self) -> None:
        """Load the inspectors, and torch with them. For use in the inspection thread."""
        self.inspectors()

    def replace(self, registry: ModelRegistry) -> None:
        """Serve other models."""
        self.registry = registry
        self.inspectors = self.inspectors.for_artifacts(registry.artifacts)


def info_labels(artifact: StoredArtifact) -> dict[str, str]:
    """The labels of ``unroll_model_info`` for a model."""
    manifest = artifact.manifest
    return {
        "version": manifest.version,
        "kind": manifest.kind,
        "cell": manifest.architecture.cell,
        "tokenizer": artifact.tokenizer.kind,
    }


def architecture_of(
    artifact: StoredArtifact,
) -> dict[str, int | str | bool | tuple[int, ...] | None]:
    """The architecture's fields, as in the manifest."""
    return dataclasses.asdict(artifact.manifest.architecture)


def choose_defaults(artifacts: Mapping[str, StoredArtifact], settings: Settings) -> dict[str, str]:
    """The default model of each kind. A kind whose configured default is missing has none."""
    defaults: dict[str, str] = {}
    for kind in MODEL_KINDS:
        names = _names_of(artifacts, kind)
        default = _configured_default(kind, settings)
        if default in names or (names and default is None):
            defaults[kind] = default or names[0]
    return defaults


def check_defaults(artifacts: Mapping[str, StoredArtifact], settings: Settings) -> None:
    """Raises RegistryError if there are models of a kind, and not the configured default."""
    for kind in MODEL_KINDS:
        names = _names_of(artifacts, kind)
        default = _configured_default(kind, settings)
        if artifacts and default is not None and default not in names:
            served = ", ".join(names) or "none"
            raise RegistryError(f"no {kind} is named {default!r} (available: {served})")


def _names_of(artifacts: Mapping[str, StoredArtifact], kind: ModelKind) -> list[str]:
    return [name for name, artifact in artifacts.items() if artifact.manifest.kind == kind]


def _configured_default(kind: ModelKind, settings: Settings) -> str | None:
    if kind == "language-model":
        return settings.default_language_model
    return settings.default_classifier
