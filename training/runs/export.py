"""Saves the artifact of a run; what is in the way of it is told in a sentence.

What is lost is nothing: the earlier artifact stands, and the weights are in the checkpoint, too.
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
    """Gives the weights the values that the file will have, so that these are what is measured."""
    if storage == "float16":
        for parameter in network.parameters():
            parameter.copy_(parameter.half())


def save_model(directory: RunDirectory, *, storage: Storage, **parts: Any) -> None:
    """As ``model.artifact.save_artifact``, in the run's place for it.

    Raises:
        DivergedError: it has weights that no artifact may have.
        OutputError: it cannot be written; the one before is left as it was.
    """
    _discard_drafts(directory)
    _check_weights(directory, parts["network"])
    try:
        save_artifact(directory.artifact, half=storage == "float16", **parts)
    except ArtifactError as error:  # whose path may be that of a draft, which is gone
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
        if not bool((parameter.abs() <= MAX_WEIGHT).all()):  # nor is what is not a number
            raise DivergedError(
                f"{directory.artifact}: the run has diverged: its weights {name} are not all from "
                f"-{MAX_WEIGHT:g} to {MAX_WEIGHT:g}; begin anew with --overwrite and a "
                "lower --learning-rate, or a lower --clip-norm"
            )


def _discard_drafts(directory: RunDirectory) -> None:
    """What processes that were killed while they saved have left beside it."""
    name = directory.artifact.name
    draft = re.compile(rf"\.{re.escape(name)}\.[a-z0-9_]{{8}}(\.old)?")
    for path in directory.artifact.parent.glob(".*"):
        if draft.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)
