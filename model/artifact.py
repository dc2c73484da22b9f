"""A trained model as a directory of data: saved whole or not at all, checked before it is used.

``manifest.json``, ``tokenizer.json``, ``weights.safetensors`` and a model card, ``README.md``.
Nothing in it is code and nothing is pickled (a pickle can run anything when it is opened). Knows
neither training nor serving.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from model.architecture import Architecture, LanguageModelArchitecture
from model.calibration import Calibration
from model.errors import ArtifactError, ManifestError, panics_as_errors
from model.manifest import Manifest
from model.model_card import model_card
from model.networks import Classifier, LanguageModel
from model.system.regular_files import read_file
from model.tokenization.tokenizer import LARGEST_FILE, Tokenizer

__all__ = ["Artifact", "ArtifactError", "Calibration", "Manifest", "load_artifact", "save_artifact"]

MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "weights.safetensors"
CARD = "README.md"
FILES = (TOKENIZER, WEIGHTS)  # those whose digests the manifest holds
LARGEST_MANIFEST = 2**24  # bytes
STORED = (torch.float32, torch.float16)  # of the tensors in the file; loaded, they are float32
# The largest float16. Training comes nowhere near it, and below it no sum of products of the layers
# that an architecture can have leaves float32: 2^16 for each weight, 2^24 for each width.
LARGEST_WEIGHT = 65504.0
HEADER_BYTES = 2**10  # of the weights file: room for a tensor's name, shape and place

Network = LanguageModel | Classifier


@dataclass(frozen=True, slots=True)
class Artifact:
    """A loaded artifact; the network is in evaluation mode and its parameters ask no gradient."""

    directory: Path
    manifest: Manifest
    tokenizer: Tokenizer
    network: Network


def build_network(architecture: Architecture) -> Network:
    """An untrained network of this architecture."""
    if isinstance(architecture, LanguageModelArchitecture):
        return LanguageModel(architecture)
    return Classifier(architecture)


def save_artifact(
    directory: Path,
    *,
    network: Network,
    tokenizer: Tokenizer,
    name: str,
    version: str = "1",
    labels: Sequence[str] = (),
    calibration: Calibration | None = None,
    provenance: Mapping[str, object],
    metrics: Mapping[str, float],
    half: bool = False,
) -> None:
    """Writes an artifact, replacing one that is there. ``half``: weights as float16, half the size.

    All is written beside ``directory`` and checked by loading it, then put in place by renaming:
    whoever looks sees the old artifact or the new one. Refuses (ArtifactError) to replace a
    directory that holds anything else. OSError when the disk does not take it.
    """
    _refuse_foreign(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        tokenizer.save(draft / TOKENIZER)
        kind = torch.float16 if half else torch.float32
        safetensors.torch.save_file(stored_tensors(network, kind), draft / WEIGHTS)
        manifest = Manifest(
            name=name,
            version=version,
            architecture=network.architecture,
            labels=tuple(labels),
            calibration=calibration,
            provenance=provenance,
            metrics=metrics,
            files={file: sha256(draft / file) for file in FILES},
        )
        (draft / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        (draft / CARD).write_text(model_card(manifest, tokenizer), encoding="utf-8")
        load_artifact(draft)
        _settle(draft)
        _swap(draft, directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load_artifact(directory: Path) -> Artifact:
    """Reads and checks an artifact; raises ArtifactError naming the file and the reason."""
    manifest = _read_manifest(directory / MANIFEST)
    tokenizer = _read_tokenizer(directory / TOKENIZER, manifest)
    with torch.device("meta"):  # shapes alone: nothing is allocated before the weights are checked
        network = build_network(manifest.architecture)
    tensors = _read_weights(directory / WEIGHTS, manifest, network)
    network.load_state_dict(tensors, strict=False, assign=True)
    if isinstance(network, LanguageModel) and network.architecture.tied:
        network.output.weight = network.embedding.weight
    network.requires_grad_(False).eval()
    return Artifact(directory, manifest, tokenizer, network)


def stored_tensors(network: Network, kind: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The tensors of the weights file: one for each parameter, tied weights once, contiguous."""
    return {
        name: parameter.detach().to(kind).contiguous()
        for name, parameter in network.named_parameters(remove_duplicate=True)
    }


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.from_json(read_file(path, LARGEST_MANIFEST).decode())
    except (UnicodeDecodeError, ManifestError) as error:
        raise ArtifactError(path, str(error)) from error


def _read_listed(path: Path, manifest: Manifest, largest: int) -> bytes:
    """The bytes of a file whose digest the manifest holds."""
    expected = manifest.files.get(path.name)
    if expected is None:
        raise ArtifactError(path, f"{MANIFEST} holds no digest of it")
    raw = read_file(path, largest)
    found = hashlib.sha256(raw).hexdigest()
    if found != expected:
        raise ArtifactError(path, f"damaged: its SHA-256 is {found}, {MANIFEST} says {expected}")
    return raw


def _read_tokenizer(path: Path, manifest: Manifest) -> Tokenizer:
    raw = _read_listed(path, manifest, LARGEST_FILE)
    try:
        tokenizer = Tokenizer.from_json(raw.decode())
    except ValueError as error:
        raise ArtifactError(path, str(error)) from error
    expected = manifest.architecture.vocabulary
    if tokenizer.size != expected:
        raise ArtifactError(
            path, f"has {tokenizer.size} tokens, the architecture says vocabulary {expected}"
        )
    return tokenizer


def _read_weights(path: Path, manifest: Manifest, network: nn.Module) -> dict[str, Tensor]:
    """The tensors by name, each checked, as float32."""
    parameters = dict(network.named_parameters(remove_duplicate=True))
    numbers = sum(parameter.numel() for parameter in parameters.values())
    raw = _read_listed(path, manifest, 4 * numbers + HEADER_BYTES * (1 + len(parameters)))
    try:
        with panics_as_errors():
            tensors = safetensors.torch.load(raw)
    except Exception as error:  # SafetensorError, and KeyError or RuntimeError for odd types
        raise ArtifactError(path, f"not a safetensors file: {error}") from error
    for name in sorted(parameters.keys() ^ tensors.keys()):
        state = "is missing" if name in parameters else "does not belong to the architecture"
        raise ArtifactError(path, f"tensor {name} {state}")
    for name, parameter in parameters.items():
        _check_tensor(path, name, tensors[name], parameter)
    return {name: tensor.float() for name, tensor in tensors.items()}


def _check_tensor(path: Path, name: str, tensor: Tensor, parameter: Tensor) -> None:
    if tensor.shape != parameter.shape:
        raise ArtifactError(
            path,
            f"tensor {name} has shape {tuple(tensor.shape)}, "
            f"the architecture says {tuple(parameter.shape)}",
        )
    if tensor.dtype not in STORED:
        told = f"tensor {name} has type {tensor.dtype}, expected float32 or float16"
        raise ArtifactError(path, told)
    smallest, largest = torch.aminmax(tensor)  # not a number if any is not
    if not (smallest.isfinite() and largest.isfinite()):
        raise ArtifactError(path, f"tensor {name} holds numbers that are not finite")
    if max(abs(smallest.item()), abs(largest.item())) > LARGEST_WEIGHT:
        told = f"tensor {name} holds numbers beyond {LARGEST_WEIGHT:g}; the training diverged"
        raise ArtifactError(path, told)


def _refuse_foreign(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ArtifactError(directory, "is a file; an artifact is a directory")
    others = {entry.name for entry in directory.iterdir()} - {MANIFEST, CARD, *FILES}
    if others:
        raise ArtifactError(
            directory, f"holds {min(others)}, which no artifact does; choose another place"
        )


def _settle(directory: Path) -> None:
    """Makes sure that what was written is on the disk before it gets its name."""
    directory.chmod(0o755)
    for path in directory.iterdir():
        path.chmod(0o644)  # the service may run as another user
    for path in (*directory.iterdir(), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(draft: Path, directory: Path) -> None:
    """Puts the draft in its place. What stood there ends up under the draft's name."""
    if not directory.exists():
        draft.rename(directory)
    elif not _exchange(draft, directory):
        aside = draft.with_name(f"{draft.name}.old")
        directory.rename(aside)
        draft.rename(directory)
        aside.rename(draft)


def _exchange(one: Path, other: Path) -> bool:
    """Swaps two names in one step, where the system can (renameat2 of Linux); else False."""
    try:
        function = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    result: int = function(here, os.fsencode(one), here, os.fsencode(other), exchange)
    return result == 0
