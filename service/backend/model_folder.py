"""The folder of models: which artifacts it has, and whether they have changed.

The folder is polled. Events of the file system are not delivered for network mounts, for bind
mounts of some container engines, and behind a link that is exchanged (`..data` of Kubernetes);
a few ``stat`` calls for each artifact cost microseconds and work everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from model.artifact import DIGESTED_FILES
from model.manifest import MANIFEST_FILE

Signature = tuple[tuple[int, ...] | None, ...]
"""Changes when a file of an artifact changes."""


class FolderError(Exception):
    """The folder cannot be read; the message contains the folder and the remedy."""


class ModelFolder:
    """A directory of artifacts, one in each subdirectory, or one artifact."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._device: int | None = None

    def scan(self) -> Mapping[str, tuple[Path, Signature]]:
        """The directory and the signature of each artifact, by the directory's name, sorted.

        Raises FolderError. A folder that has become empty because it is no longer mounted raises
        it too.
        """
        try:
            if not self._path.is_dir():
                raise FolderError(
                    f"the directory {self._path} does not exist; "
                    "set the directory of the models with --models DIR"
                )
            device = self._path.stat().st_dev
            directories = self._directories()
            signatures = {path.name: (path, _signature(path)) for path in directories}
        except OSError as error:
            raise FolderError(
                f"cannot read {self._path}: {error.strerror}; "
                "set a readable directory with --models DIR"
            ) from error
        if not signatures and self._device not in (None, device):
            raise FolderError(f"{self._path} is empty and on another device: is it mounted?")
        self._device = device
        return signatures

    def _directories(self) -> list[Path]:
        if (self._path / MANIFEST_FILE).exists():
            return [self._path]
        return sorted(path for path in self._path.iterdir() if _looks_like_artifact(path))


def _looks_like_artifact(path: Path) -> bool:
    """Whether it is a directory, not hidden and not the checkpoint folder of a training run."""
    return path.is_dir() and not path.name.startswith(".") and path.suffix != ".run"


def _signature(directory: Path) -> Signature:
    return tuple(_file_signature(directory / name) for name in (MANIFEST_FILE, *DIGESTED_FILES))


def _file_signature(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:  # for example no permission: concerns this artifact alone
        return (error.errno or 0,)
    return (
        status.st_ino,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
