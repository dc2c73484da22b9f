"""The models being served: found in a directory, loaded, described, chosen by name.

Each subdirectory is one artifact. A bad one is refused with a message that names the file and the
reason, and does not harm the others. Knows no engine and no HTTP.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError, panics_as_errors
from service.backend.settings import Settings

ModelKind = Literal["language-model", "classifier"]
MODEL_KINDS: tuple[ModelKind, ...] = ("language-model", "classifier")

logger = logging.getLogger(__name__)


class RegistryError(Exception):
    """There is nothing to serve; the message says what was looked for and what to do."""


@dataclass(frozen=True, slots=True)
class ModelRegistry:
    """Artifacts by name, in alphabetical order, and the default of each kind."""

    artifacts: Mapping[str, Artifact]
    defaults: Mapping[str, str]

    def is_default(self, name: str) -> bool:
        """Whether this model answers when none is named."""
        return name in self.defaults.values()


def load_registry(settings: Settings) -> ModelRegistry:
    """Loads what ``settings.models`` holds. RegistryError when nothing there can be served."""
    directories = _artifact_directories(settings.models)
    artifacts = _load_all(directories)
    if not artifacts:
        raise RegistryError(
            f"none of the {len(directories)} artifacts in {settings.models} can be served; "
            "the messages above say why"
        )
    return ModelRegistry(artifacts, _choose_defaults(artifacts, settings))


def restrict_registry(
    registry: ModelRegistry, served: Collection[str], settings: Settings
) -> ModelRegistry:
    """The part of a registry that the engine could set up. RegistryError when that is nothing."""
    artifacts = {name: one for name, one in registry.artifacts.items() if name in served}
    if not artifacts:
        raise RegistryError("no model could be set up; the messages above say why")
    return ModelRegistry(artifacts, _choose_defaults(artifacts, settings))


def info_labels(artifact: Artifact) -> dict[str, str]:
    """What ``unroll_model_info`` tells of a model."""
    manifest = artifact.manifest
    return {
        "version": manifest.version,
        "kind": manifest.kind,
        "cell": manifest.architecture.cell,
        "tokenizer": artifact.tokenizer.kind,
    }


def architecture_of(artifact: Artifact) -> dict[str, int | str | bool | tuple[int, ...] | None]:
    """The architecture's fields, as the manifest has them."""
    return dataclasses.asdict(artifact.manifest.architecture)


def _artifact_directories(models: Path) -> list[Path]:
    """The directories with a manifest: ``models`` itself, or else those in it."""
    try:
        if not models.is_dir():
            raise RegistryError(
                f"there is no directory {models}: say where the models are with --models DIR"
            )
        if (models / "manifest.json").exists():
            return [models]
        found = sorted(path for path in models.iterdir() if _looks_like_artifact(path))
    except OSError as error:
        raise RegistryError(
            f"cannot read {models}: {error.strerror}; "
            "name a directory that the user of this process may read with --models DIR"
        ) from error
    if not found:
        raise RegistryError(
            f"{models} holds no models: each subdirectory with a manifest.json is one; "
            "python -m training makes them"
        )
    return found


def _looks_like_artifact(path: Path) -> bool:
    """Not hidden, not the folder in which a training run keeps its checkpoints."""
    return path.is_dir() and not path.name.startswith(".") and path.suffix != ".run"


def _load_all(directories: list[Path]) -> dict[str, Artifact]:
    artifacts: dict[str, Artifact] = {}
    for directory in directories:
        try:
            with panics_as_errors():
                artifact = load_artifact(directory)
        except ArtifactError as error:
            logger.error("refused a model: %s", error)
            continue
        except MemoryError:
            logger.error("refused a model: %s: there is not enough memory for it", directory)
            continue
        except Exception:  # a check that is missing there must not take the others down
            logger.exception("refused a model: %s: it cannot be loaded", directory)
            continue
        name = artifact.manifest.name
        other = artifacts.get(name)
        if other is not None and directory.name == name:  # its directory says so: it stays
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


def _choose_defaults(artifacts: Mapping[str, Artifact], settings: Settings) -> dict[str, str]:
    wanted: dict[ModelKind, str | None] = {
        "language-model": settings.default_language_model,
        "classifier": settings.default_classifier,
    }
    defaults: dict[str, str] = {}
    for kind in MODEL_KINDS:
        names = [name for name, artifact in artifacts.items() if artifact.manifest.kind == kind]
        choice = wanted[kind]
        if choice is not None and choice not in names:
            served = ", ".join(names) or "none"
            raise RegistryError(f"no {kind} is named {choice!r} (there are: {served})")
        if names:
            defaults[kind] = choice or names[0]
    return defaults
