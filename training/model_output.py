"""Saves the artifact of a run; a disk that does not take it is told in a sentence.

What is lost is nothing: the earlier artifact stands, and the weights are in the checkpoint, too.
"""

from __future__ import annotations

import re
import shutil
from typing import Any

from safetensors import SafetensorError

from model.artifact import save_artifact
from model.errors import ArtifactError
from training.run_directory import OutputError, RunDirectory


def save_model(directory: RunDirectory, **parts: Any) -> None:
    """As ``model.artifact.save_artifact``, in the run's place for it.

    Raises:
        OutputError: it cannot be written; the one before is left as it was.
    """
    _discard_drafts(directory)
    try:
        save_artifact(directory.artifact, **parts)
    except (OSError, SafetensorError, ArtifactError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{directory.artifact}: the model cannot be written: {reason}; free space, then "
            "continue with --resume"
        ) from None


def _discard_drafts(directory: RunDirectory) -> None:
    """What processes that were killed while they saved have left beside it."""
    name = directory.artifact.name
    draft = re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}(\.old)?")
    for path in directory.artifact.parent.glob(".*"):
        if draft.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
