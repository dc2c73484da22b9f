"""Saving of the artifact of a run.

If it fails, the earlier artifact is kept, and the checkpoint has the weights.
"""

from __future__ import annotations

import re
import shutil
from typing import Any, Literal

import torch
from safetensors import SafetensorError

from model.artifact import MAX_WEIGHT, Network, save_artifact
from model.errors import ArtifactError
from training.errors import DivergedError, OutputError
from training.runs.directory import RunDirectory

Storage = Literal["float32", "float16"]


@torch.no_grad()
def round_to_storage(network: Network, storage: Storage) -> None:
    """Rounds the weights to the values in the file, so that those are evaluated."""
    if storage == "float16":
        for parameter in network.parameters():
            parameter.copy_(parameter.half())


def save_model(directory: RunDirectory, *, storage: Storage, **parts: Any) -> None:
    """Saves ``parts``, as for `model.artifact.save_artifact`, to the directory of the artifact.

    Raises:
        DivergedError: a weight is out of the range of an artifact.
        OutputError: the artifact cannot be written; the earlier one is kept.
    """
    _discard_drafts(directory)
    _check_weights(directory, parts["network"])
    try:
        save_artifact(directory.artifact, half=storage == "float16", **parts)
    except ArtifactError as error:  # its path may be that of a draft, which is removed
        raise OutputError(
            f"{directory.artifact}: the model cannot be written: {error.reason}"
        ) from None
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{directory.artifact}: the model cannot be written: {reason}; free space, then "
            "continue with --resume"
        ) from None


def _check_weights(directory: RunDirectory, network: Network) -> None:
    for name, parameter in network.named_parameters():
        if not bool((parameter.abs() <= MAX_WEIGHT).all()):  # also refuses NaN
            raise DivergedError(
                f"{directory.artifact}: the run has diverged: its weights {name} are not all from "
                f"-{MAX_WEIGHT:g} to {MAX_WEIGHT:g}; begin anew with --overwrite and a "
                "lower --learning-rate, or a lower --clip-norm"
            )


def _discard_drafts(directory: RunDirectory) -> None:
    """Removes the drafts of processes that were killed while saving."""
    name = directory.artifact.name
    draft = re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}(\.old)?")
    for path in directory.artifact.parent.glob(".*"):
        if draft.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
