"""Errors about files that cannot be used. Knows nothing of what the files hold."""

from __future__ import annotations

from pathlib import Path


class ArtifactError(Exception):
    """A file of an artifact that is missing, damaged or of another format.

    ``path`` names the file, ``reason`` says what is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
