"""Folders of files: a document in each file, and for classifiers a folder for each label.

Files are in the order of their paths. Names that begin with a dot are left out, as systems put
files of their own into folders (.DS_Store).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from training.errors import DataError

MAX_FILES = 5_000_000


def is_folder(source: str) -> bool:
    """Whether a source is a directory."""
    try:
        return Path(source).is_dir()
    except (OSError, ValueError):  # a NUL in the name
        return False


def files_in(folder: Path) -> list[Path]:
    """All files below a folder, in the order of their paths.

    Raises:
        DataError: the folder cannot be read, or has no file.
    """
    files = sorted(_walk(folder))
    if not files:
        raise DataError(f"{folder}: the folder has no file")
    return files


def label_folders(folder: Path) -> list[Path]:
    """The folders in a folder, one for each label, by name.

    Raises:
        DataError: the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if _is_visible(path.name) and path.is_dir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read: {error.strerror}") from None

    count = 0
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = filter(_is_visible, folders)  # the walk leaves the others out
        for name in filter(_is_visible, names):
            count += 1
            if count > MAX_FILES:
                raise DataError(f"{folder}: has more than {MAX_FILES:,} files; name fewer of them")
            yield Path(parent, name)


def _is_visible(name: str) -> bool:
    return not name.startswith(".")
