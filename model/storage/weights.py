"""The weights of a network as arrays, and the file that they are read from.

The service packs weights for its kernel once and then needs them again only for inspections. So
the arrays are not kept: the file stays open, and reading it again compares its digest. An artifact
that is replaced meanwhile has another file, and the open one keeps its content.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from model.architecture import Architecture, ClassifierArchitecture, LanguageModelArchitecture
from model.errors import ArtifactError, panics_as_errors
from model.storage.shapes import parameter_shapes
from model.system.regular_files import RegularFile

FloatArray = NDArray[np.float32]
StoredArray = NDArray[np.float32] | NDArray[np.float16]

WEIGHT_DTYPES = (np.dtype(np.float32), np.dtype(np.float16))
# The largest float16. Trained weights stay far below it, and with weights up to it no sum of
# products overflows float32: 2^16 for each weight, 2^24 for each width.
MAX_WEIGHT = 65504.0
HEADER_BYTES_PER_TENSOR = 2**10  # name, shape and offsets of a tensor in the weights file

Described_co = TypeVar("Described_co", bound=Architecture, covariant=True)


@dataclass(frozen=True, slots=True)
class Weights(Generic[Described_co]):
    """The parameters of a network by name, float32 or float16. Tied weights have one name."""

    architecture: Described_co
    arrays: Mapping[str, StoredArray]

    def __getitem__(self, name: str) -> FloatArray:
        """One parameter in float32, contiguous. A stored float32 is not copied."""
        return np.ascontiguousarray(self.arrays[name], dtype=np.float32)


def language_model_weights(weights: Weights[Architecture]) -> Weights[LanguageModelArchitecture]:
    """The same weights. Raises TypeError if they are not those of a language model."""
    if not isinstance(weights.architecture, LanguageModelArchitecture):
        raise TypeError(f"expected a language model, got a {weights.architecture.kind}")
    return Weights(weights.architecture, weights.arrays)


def classifier_weights(weights: Weights[Architecture]) -> Weights[ClassifierArchitecture]:
    """The same weights. Raises TypeError if they are not those of a classifier."""
    if not isinstance(weights.architecture, ClassifierArchitecture):
        raise TypeError(f"expected a classifier, got a {weights.architecture.kind}")
    return Weights(weights.architecture, weights.arrays)


class WeightsFile:
    """The open weights file of an artifact. Thread-safe.

    Args:
        path: of the file.
        digest: its SHA-256, in hexadecimal.
        architecture: the names and shapes of the tensors.

    Raises ArtifactError if the file is missing or not a regular file.
    """

    def __init__(self, path: Path, digest: str, architecture: Architecture) -> None:
        self._file = RegularFile(path)
        self._digest = digest
        self._architecture = architecture
        self._lock = threading.Lock()
        self._checked: Weights[Architecture] | None = None

    def check(self) -> Weights[Architecture]:
        """Reads and checks the file; the next :meth:`take` returns the same weights.

        Raises ArtifactError if the file is damaged or does not fit the architecture.
        """
        with self._lock:
            self._checked = self._read()
            return self._checked

    def take(self) -> Weights[Architecture]:
        """The checked weights, which are then the caller's alone; a later call reads them again.

        Raises ArtifactError if the file has been changed since it was checked.
        """
        with self._lock:
            weights, self._checked = self._checked, None
            return weights or self._read()

    def _read(self) -> Weights[Architecture]:
        path, shapes = self._file.path, parameter_shapes(self._architecture)
        data_bytes = 4 * sum(map(prod, shapes.values()))
        header_bytes = HEADER_BYTES_PER_TENSOR * (1 + len(shapes))
        raw = self._file.read(data_bytes + header_bytes)
        check_digest(path, raw, self._digest)
        try:
            with panics_as_errors():
                arrays = safetensors.numpy.load(raw)
        except Exception as error:  # SafetensorError; KeyError or ValueError for unknown types
            raise ArtifactError(path, f"not a safetensors file: {error}") from error
        for name in sorted(shapes.keys() ^ arrays.keys()):
            fault = "is missing" if name in shapes else "does not belong to the architecture"
            raise ArtifactError(path, f"tensor {name} {fault}")
        for name, shape in shapes.items():
            _check_array(path, name, arrays[name], shape)
        return Weights(self._architecture, arrays)


def check_digest(path: Path, raw: bytes, expected: str) -> None:
    """Raises ArtifactError if the bytes have another SHA-256."""
    digest = hashlib.sha256(raw).hexdigest()
    if digest != expected:
        raise ArtifactError(path, f"damaged: its SHA-256 is {digest}, expected {expected}")


def _check_array(path: Path, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ArtifactError(path, f"tensor {name} has shape {array.shape}, expected {shape}")
    if array.dtype not in WEIGHT_DTYPES:
        reason = f"tensor {name} has type {array.dtype}, expected float32 or float16"
        raise ArtifactError(path, reason)
    minimum, maximum = extremes(array)
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        raise ArtifactError(path, f"tensor {name} has values that are not finite")
    if max(abs(minimum), abs(maximum)) > MAX_WEIGHT:
        reason = f"tensor {name} has values beyond {MAX_WEIGHT:g}; the training diverged"
        raise ArtifactError(path, reason)


def extremes(array: StoredArray) -> tuple[float, float]:
    """The smallest and the largest value, not a number if any value is not.

    NumPy compares float16 one by one, and float32 many at a time.
    """
    values = array.astype(np.float32, copy=False)
    with np.errstate(invalid="ignore"):
        return float(values.min()), float(values.max())
