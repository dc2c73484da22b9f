"""The checkpoint of a run: tensors and plain values in one file.

The file is a safetensors file, without pickle. Its header holds the plain values as JSON and a
checksum of everything. It is written beside its place, flushed to the disk and renamed, so that a
killed process or a full disk leaves the checkpoint of before.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from training.errors import CheckpointError
from training.files import write_atomically

CHECKPOINT_FORMAT = "7"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Tensors by name, and values that JSON can hold."""

    tensors: Mapping[str, Tensor]
    values: Mapping[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in the place of the one before.

    Raises:
        CheckpointError: it cannot be written; the one before is left as it was.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    values = json.dumps(dict(checkpoint.values))
    checksum = str(_checksum(tensors, values))
    header = {"format": CHECKPOINT_FORMAT, "checksum": checksum, "values": values}
    try:
        write_atomically(path, save(tensors, header))
    except OSError as error:
        advice = "or choose another --out, then start the command again"
        if path.exists():
            advice = "then continue with --resume; the checkpoint of before is kept"
        raise CheckpointError(
            f"{path}: cannot be written: {error.strerror or error}; free space, {advice}"
        ) from None


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: there is none, it is damaged, or it has another format.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        version, checksum, values = header["format"], header["checksum"], header["values"]
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no checkpoint to continue from") from None
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged, or not a checkpoint ({error})") from None
    if version != CHECKPOINT_FORMAT:
        raise CheckpointError(
            f"{path}: written in format {version}; this version reads {CHECKPOINT_FORMAT}"
        )
    if checksum != str(_checksum(tensors, values)):
        raise CheckpointError(f"{path}: damaged: its checksum is wrong")
    return Checkpoint(tensors, json.loads(values))


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with ``prefix.`` before every name."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, without that prefix."""
    start = prefix + "."
    return {n.removeprefix(start): tensor for n, tensor in tensors.items() if n.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments by "parameter index.name".

    Learning rates and betas are left out: the schedule sets them at every step.
    """
    return {
        f"{index}.{name}": value
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restores :func:`optimizer_tensors`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _checksum(tensors: Mapping[str, Tensor], values: str) -> int:
    value = zlib.crc32(values.encode())
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        content = tensors[name].reshape(-1).view(torch.uint8).numpy().data
        value = zlib.crc32(content, value)
    return value
