"""Reads the artifacts in a thread while the modules of the server are imported.

Reading, digests and tokenizers take about as long as FastAPI's import and need the interpreter for
a part of the time only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from model.storage.stored_artifact import StoredArtifact
from service.backend.model_folder import FolderError, ModelFolder, Signature
from service.backend.model_loader import RefusedError, read_artifact
from service.backend.registry import RegistryError


@dataclass(frozen=True, slots=True)
class FirstModels:
    """The folder of models at the start, and by directory the artifact or the reason of refusal."""

    folder: ModelFolder
    found: Mapping[str, tuple[Path, Signature]]
    artifacts: Mapping[str, StoredArtifact | str]


def read_first_models(path: Path) -> FirstModels:
    """Read the artifacts of a folder. Raises RegistryError if the folder cannot be read."""
    folder = ModelFolder(path)
    try:
        found = folder.scan()
    except FolderError as error:
        raise RegistryError(str(error)) from error
    artifacts: dict[str, StoredArtifact | str] = {}
    for name, (directory, _) in found.items():
        try:
            artifacts[name] = read_artifact(directory)
        except RefusedError as error:
            artifacts[name] = str(error)
    return FirstModels(folder, found, artifacts)


def start_loading(path: Path) -> Callable[[], FirstModels]:
    """Start to read the artifacts of a folder. The returned function waits for them and raises what
    reading raised. Raises RuntimeError if the system provides no thread.
    """
    future: Future[FirstModels] = Future()

    def load() -> None:
        try:
            future.set_result(read_first_models(path))
        except BaseException as error:  # noqa: BLE001 - raised where the models are needed
            future.set_exception(error)

    threading.Thread(target=load, name="models", daemon=True).start()
    return future.result
