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
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from model.architecture import Architecture, LanguageModelArchitecture
from model.calibration import Calibration
from model.errors import ArtifactError
from model.manifest import (
    DIGESTED_FILES,
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    Manifest,
)
from model.model_card import model_card
from model.networks import Classifier, LanguageModel
from model.storage.stored_artifact import StoredArtifact, load_stored_artifact
from model.storage.weights import MAX_WEIGHT, Weights
from model.tokenization.tokenizer import Tokenizer

__all__ = [
    "MAX_WEIGHT",
    "Artifact",
    "ArtifactError",
    "Calibration",
    "Manifest",
    "load_artifact",
    "save_artifact",
]

Network = LanguageModel | Classifier


@dataclass(frozen=True, slots=True)
class Artifact(StoredArtifact):
    """A loaded artifact. The network is in evaluation mode; no parameter requires a gradient."""

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
    stored = load_stored_artifact(directory)
    network = network_of(stored.weights.take())
    return Artifact(
        stored.directory,
        stored.manifest,
        stored.tokenizer,
        stored.weights,
        stored.initial_hidden_L1H,
        network,
    )


def network_of(weights: Weights[Architecture]) -> Network:
    """The network of these weights in evaluation mode; no parameter requires a gradient.

    Stored float32 weights are not copied.
    """
    with torch.device("meta"):  # shapes only: no memory is allocated for weights to be replaced
        network = build_network(weights.architecture)
    tensors = {name: torch.from_numpy(weights[name]) for name in weights.arrays}
    network.load_state_dict(tensors, strict=False, assign=True)
    if isinstance(network, LanguageModel) and network.architecture.tied:
        network.output.weight = network.embedding.weight
    return network.requires_grad_(False).eval()


def weights_of(network: Network) -> Weights[Any]:
    """The weights of a network as they would be stored in float32, for kernels and tests."""
    arrays = {name: tensor.numpy() for name, tensor in stored_tensors(network).items()}
    return Weights(network.architecture, arrays)


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
