"""The served models: discovery in a directory, loading, and the defaults.

Each subdirectory is one artifact. A bad artifact is refused with a message that names the file and
the reason, and does not affect the others.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.errors import ArtifactError, panics_as_errors
from model.storage.stored_artifact import StoredArtifact, load_stored_artifact
from service.backend.settings import Settings

ModelKind = Literal["language-model", "classifier"]
MODEL_KINDS: tuple[ModelKind, ...] = ("language-model", "classifier")

logger = logging.getLogger(__name__)


class RegistryError(Exception):
    """No model can be served; the message contains the directory and the remedy."""


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    """Artifacts by name, in alphabetical order, and the default of each kind."""

    artifacts: Mapping[str, StoredArtifact]
    defaults: Mapping[str, str]

    def is_default(self, name: str) -> bool:
        """Whether this model is used if a request names none."""
        return name in self.defaults.values()


def load_registry(settings: Settings) -> ModelRegistry:
    """Load the artifacts in ``settings.models``. Raises RegistryError if none can be served."""
    directories = _artifact_directories(settings.models)
    artifacts = _load_all(directories)
    if not artifacts:
        raise RegistryError(
            f"none of the {len(directories)} artifacts in {settings.models} can be served; "
            "see the messages above"
        )
    return ModelRegistry(artifacts, _choose_defaults(artifacts, settings))


def restrict_registry(
    registry: ModelRegistry, served: Collection[str], settings: Settings
) -> ModelRegistry:
    """The models that the engine could set up. Raises RegistryError if there are none."""
    artifacts = {name: artifact for name, artifact in registry.artifacts.items() if name in served}
    if not artifacts:
        raise RegistryError("no model could be set up; see the messages above")
    return ModelRegistry(artifacts, _choose_defaults(artifacts, settings))


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


def _artifact_directories(models: Path) -> list[Path]:
    """The directories with a manifest: ``models`` itself, or else its subdirectories."""
    try:
        if not models.is_dir():
            raise RegistryError(
                f"the directory {models} does not exist; "
                "set the directory of the models with --models DIR"
            )
        if (models / "manifest.json").exists():
            return [models]
        directories = sorted(path for path in models.iterdir() if _looks_like_artifact(path))
    except OSError as error:
        raise RegistryError(
            f"cannot read {models}: {error.strerror}; set a readable directory with --models DIR"
        ) from error
    if not directories:
        raise RegistryError(
            f"{models} contains no models: each subdirectory with a manifest.json is one; "
            "python -m training makes them"
        )
    return directories


def _looks_like_artifact(path: Path) -> bool:
    """Whether it is a directory, not hidden and not the checkpoint folder of a training run."""
    return path.is_dir() and not path.name.startswith(".") and path.suffix != ".run"


def _load_all(directories: list[Path]) -> dict[str, StoredArtifact]:
    artifacts: dict[str, StoredArtifact] = {}
    for directory in directories:
        try:
            with panics_as_errors():
                artifact = load_stored_artifact(directory)
        except ArtifactError as error:
            logger.error("refused a model: %s", error)
            continue
        except MemoryError:
            logger.error("refused a model: %s: there is not enough memory for it", directory)
            continue
        except Exception:  # a defect in loading must not affect the other models
            logger.exception("refused a model: %s: it cannot be loaded", directory)
            continue
        name = artifact.manifest.name
        other = artifacts.get(name)
        if other is not None and directory.name == name:  # the directory of that name wins
            artifact, other = other, artifact
        if other is None:
            artifacts[name] = artifact
        else:
            artifacts[name] = other
            logger.error(
                "refused a model: %s: %s has the same name %r",
                artifact.directory,
                other.directory,
                name,
            )
    return dict(sorted(artifacts.items()))


def _choose_defaults(artifacts: Mapping[str, StoredArtifact], settings: Settings) -> dict[str, str]:
    default_options: dict[ModelKind, str | None] = {
        "language-model": settings.default_language_model,
        "classifier": settings.default_classifier,
    }
    defaults: dict[str, str] = {}
    for kind in MODEL_KINDS:
        names = [name for name, artifact in artifacts.items() if artifact.manifest.kind == kind]
        default = default_options[kind]
        if default is not None and default not in names:
            served = ", ".join(names) or "none"
            raise RegistryError(f"no {kind} is named {default!r} (available: {served})")
        if names:
            defaults[kind] = default or names[0]
    return defaults
