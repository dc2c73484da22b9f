"""Artifacts as the service loads them: checked, with weights as arrays and without torch.

:func:`model.artifact.load_artifact` loads the network as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from model.architecture import Architecture
from model.errors import ArtifactError, ManifestError
from model.manifest import MANIFEST_FILE, TOKENIZER_FILE, WEIGHTS_FILE, Manifest
from model.storage.weights import FloatArray, WeightsFile, check_digest
from model.system.regular_files import read_file
from model.tokenization.tokenizer import MAX_TOKENIZER_BYTES, Tokenizer

MAX_MANIFEST_BYTES = 2**24


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """A checked artifact. ``weights`` can be read at any time, also after it has been replaced."""

    directory: Path
    manifest: Manifest
    tokenizer: Tokenizer
    weights: WeightsFile = field(repr=False)
    initial_hidden_L1H: FloatArray = field(repr=False)

    @property
    def architecture(self) -> Architecture:
        """The hyperparameters of the network."""
        return self.manifest.architecture


def load_stored_artifact(directory: Path) -> StoredArtifact:
    """Reads and checks an artifact.

    Args:
        directory: of the artifact.

    Raises:
        ArtifactError: a file is missing, damaged or of another format; ``path`` and ``reason`` say
            which and why.
    """
    manifest = _read_manifest(directory / MANIFEST_FILE)
    tokenizer = _read_tokenizer(directory / TOKENIZER_FILE, manifest)
    path = directory / WEIGHTS_FILE
    file = WeightsFile(path, _digest_of(path, manifest), manifest.architecture)
    first_L1H = file.check()["initial_hidden_L1H"]
    return StoredArtifact(directory, manifest, tokenizer, file, first_L1H.copy())


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.from_json(read_file(path, MAX_MANIFEST_BYTES).decode())
    except (UnicodeDecodeError, ManifestError) as error:
        raise ArtifactError(path, str(error)) from error


def _read_tokenizer(path: Path, manifest: Manifest) -> Tokenizer:
    expected_digest = _digest_of(path, manifest)
    raw = read_file(path, MAX_TOKENIZER_BYTES)
    check_digest(path, raw, expected_digest)
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


def _digest_of(path: Path, manifest: Manifest) -> str:
    digest = manifest.files.get(path.name)
    if digest is None:
        raise ArtifactError(path, f"{MANIFEST_FILE} has no digest of this file")
    return digest
