"""Artifacts: trained models as directories, saved atomically and checked when they are loaded.

An artifact holds ``manifest.json``, ``tokenizer.json``, ``weights.safetensors`` and a model card,
``README.md``. It contains neither code nor pickles, which can run code when they are opened.

This module is public API, with the classes that its functions return and the modules
:mod:`model.architecture`, :mod:`model.networks`, :mod:`model.state` and
:mod:`model.tokenization.tokenizer`. Other modules of the package may change without notice.

Example:
    Continue a text greedily by ten tokens::

        from pathlib import Path

        import torch

        from model.artifact import load_artifact

        artifact = load_artifact(Path("pretrained/english-word"))
        network, tokenizer = artifact.network, artifact.tokenizer
        tokens = [tokenizer.end, *tokenizer.encode("The people of this")]
        state = network.initial_state(batch=1)
        generated = []
        for _ in range(10):
            logits_TBV, state = network(torch.tensor(tokens).unsqueeze(1), state)
            logits_TBV[..., list(tokenizer.suppressed)] = -torch.inf
            tokens = [int(logits_TBV[-1, 0].argmax())]
            generated += tokens
        print(tokenizer.decode(generated))
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
from model.manifest import (
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Manifest,
)
from model.model_card import model_card
from model.networks import Classifier, LanguageModel
from model.system.regular_files import read_file
from model.tokenization.tokenizer import MAX_TOKENIZER_BYTES, Tokenizer

__all__ = ["Artifact", "ArtifactError", "Calibration", "Manifest", "load_artifact", "save_artifact"]

DIGESTED_FILES = (TOKENIZER_FILE, WEIGHTS_FILE)  # the manifest holds their SHA-256
MAX_MANIFEST_BYTES = 2**24
WEIGHT_DTYPES = (torch.float32, torch.float16)  # in the file; loaded weights are float32
# The largest float16. Trained weights stay far below it, and with weights up to it no sum of
# products overflows float32: 2^16 for each weight, 2^24 for each width.
MAX_WEIGHT = 65504.0
HEADER_BYTES_PER_TENSOR = 2**10  # name, shape and offsets of a tensor in the weights file

Network = LanguageModel | Classifier


@dataclass(frozen=True, slots=True)
class Artifact:
    """A loaded artifact. The network is in evaluation mode; no parameter requires a gradient."""

    directory: Path
    manifest: Manifest
    tokenizer: Tokenizer
    network: Network


def build_network(architecture: Architecture) -> Network:
    """A network of the given architecture with random initial weights."""
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
    """Writes an artifact and replaces an earlier one in the same directory.

    The artifact is written to a temporary directory beside ``directory``, checked by loading it,
    and renamed, so that other processes see the earlier artifact or the new one.

    Args:
        directory: of the artifact; its parents are created.
        network: in training or evaluation mode.
        tokenizer: of the network's vocabulary.
        name: of the model, as clients request it.
        version: of the model.
        labels: of a classifier, in the order of its logits.
        calibration: of a classifier.
        provenance: data, recipe, seed, commit and library versions.
        metrics: by name.
        half: store the weights as float16, at half the size.

    Raises:
        ArtifactError: ``directory`` holds other files than those of an artifact, or a weight is not
            finite or too large.
        ManifestError: a name, label or metric is out of range.
        OSError: the disk is full or not writable.
    """
    _refuse_foreign(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        tokenizer.save(draft / TOKENIZER_FILE)
        dtype = torch.float16 if half else torch.float32
        safetensors.torch.save_file(stored_tensors(network, dtype), draft / WEIGHTS_FILE)
        manifest = Manifest(
            name=name,
            version=version,
            architecture=network.architecture,
            labels=tuple(labels),
            calibration=calibration,
            provenance=provenance,
            metrics=metrics,
            files={file: sha256(draft / file) for file in DIGESTED_FILES},
        )
        (draft / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
        (draft / MODEL_CARD_FILE).write_text(model_card(manifest, tokenizer), encoding="utf-8")
        load_artifact(draft)
        _make_durable(draft)
        _put_in_place(draft, directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load_artifact(directory: Path) -> Artifact:
    """Reads and checks an artifact.

    Args:
        directory: of the artifact.

    Raises:
        ArtifactError: a file is missing, damaged or of another format; ``path`` and ``reason`` say
            which and why.
    """
    manifest = _read_manifest(directory / MANIFEST_FILE)
    tokenizer = _read_tokenizer(directory / TOKENIZER_FILE, manifest)
    with torch.device("meta"):  # shapes only: no memory is allocated before the weights are checked
        network = build_network(manifest.architecture)
    tensors = _read_weights(directory / WEIGHTS_FILE, manifest, network)
    network.load_state_dict(tensors, strict=False, assign=True)
    if isinstance(network, LanguageModel) and network.architecture.tied:
        network.output.weight = network.embedding.weight
    network.requires_grad_(False).eval()
    return Artifact(directory, manifest, tokenizer, network)


def stored_tensors(network: Network, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The tensors of the weights file by name: one for each parameter, tied weights once."""
    return {
        name: parameter.detach().to(dtype).contiguous()
        for name, parameter in network.named_parameters(remove_duplicate=True)
    }


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.from_json(read_file(path, MAX_MANIFEST_BYTES).decode())
    except (UnicodeDecodeError, ManifestError) as error:
        raise ArtifactError(path, str(error)) from error


def _read_digested(path: Path, manifest: Manifest, max_bytes: int) -> bytes:
    """The bytes of a file; their digest is compared with that in the manifest."""
    expected = manifest.files.get(path.name)
    if expected is None:
        raise ArtifactError(path, f"{MANIFEST_FILE} has no digest of this file")
    raw = read_file(path, max_bytes)
    digest = hashlib.sha256(raw).hexdigest()
    if digest != expected:
        raise ArtifactError(path, f"damaged: its SHA-256 is {digest}, expected {expected}")
    return raw


def _read_tokenizer(path: Path, manifest: Manifest) -> Tokenizer:
    raw = _read_digested(path, manifest, MAX_TOKENIZER_BYTES)
    try:
        tokenizer = Tokenizer.from_json(raw.decode())
    except ValueError as error:
        raise ArtifactError(path, str(error)) from error
    expected = manifest.architecture.vocabulary
    if tokenizer.size != expected:
        raise ArtifactError(
            path, f"has {tokenizer.size} tokens, expected {expected} as in the architecture"
        )
    return tokenizer


def _read_weights(path: Path, manifest: Manifest, network: nn.Module) -> dict[str, Tensor]:
    """The checked tensors by name, as float32."""
    parameters = dict(network.named_parameters(remove_duplicate=True))
    data_bytes = 4 * sum(parameter.numel() for parameter in parameters.values())
    header_bytes = HEADER_BYTES_PER_TENSOR * (1 + len(parameters))
    raw = _read_digested(path, manifest, data_bytes + header_bytes)
    try:
        with panics_as_errors():
            tensors = safetensors.torch.load(raw)
    except Exception as error:  # SafetensorError; KeyError or RuntimeError for unknown types
        raise ArtifactError(path, f"not a safetensors file: {error}") from error
    for name in sorted(parameters.keys() ^ tensors.keys()):
        fault = "is missing" if name in parameters else "does not belong to the architecture"
        raise ArtifactError(path, f"tensor {name} {fault}")
    for name, parameter in parameters.items():
        _check_tensor(path, name, tensors[name], parameter)
    return {name: tensor.float() for name, tensor in tensors.items()}


def _check_tensor(path: Path, name: str, tensor: Tensor, parameter: Tensor) -> None:
    if tensor.shape != parameter.shape:
        raise ArtifactError(
            path,
            f"tensor {name} has shape {tuple(tensor.shape)}, expected {tuple(parameter.shape)}",
        )
    if tensor.dtype not in WEIGHT_DTYPES:
        reason = f"tensor {name} has type {tensor.dtype}, expected float32 or float16"
        raise ArtifactError(path, reason)
    minimum, maximum = torch.aminmax(tensor)  # nan if any value is
    if not (minimum.isfinite() and maximum.isfinite()):
        raise ArtifactError(path, f"tensor {name} has values that are not finite")
    if max(abs(minimum.item()), abs(maximum.item())) > MAX_WEIGHT:
        reason = f"tensor {name} has values beyond {MAX_WEIGHT:g}; the training diverged"
        raise ArtifactError(path, reason)


def _refuse_foreign(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ArtifactError(directory, "is a file, expected a directory")
    others = {entry.name for entry in directory.iterdir()} - {
        MANIFEST_FILE,
        MODEL_CARD_FILE,
        *DIGESTED_FILES,
    }
    if others:
        raise ArtifactError(
            directory, f"holds {min(others)}, which is no file of an artifact; choose another path"
        )


def _make_durable(directory: Path) -> None:
    """Writes the files to the disk, so a crash after the renaming loses no data."""
    directory.chmod(0o755)
    for path in directory.iterdir():
        path.chmod(0o644)  # the service may run as another user
    for path in (*directory.iterdir(), directory):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _put_in_place(draft: Path, directory: Path) -> None:
    """Renames the draft. An earlier artifact gets the draft's name."""
    if not directory.exists():
        draft.rename(directory)
    elif not _exchange(draft, directory):
        aside = draft.with_name(f"{draft.name}.old")
        directory.rename(aside)
        draft.rename(directory)
        aside.rename(draft)


def _exchange(draft: Path, directory: Path) -> bool:
    """Exchanges two names atomically with Linux's renameat2; False where it is not available."""
    try:
        function = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    cwd, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    status: int = function(cwd, os.fsencode(draft), cwd, os.fsencode(directory), exchange)
    return status == 0
