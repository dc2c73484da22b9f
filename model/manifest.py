"""What an artifact says of itself: ``manifest.json``, read and written with every field checked.

Knows the form of the file only; that the other files agree with it is for :mod:`model.artifact`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import cast

from model.architecture import (
    Architecture,
    ClassifierArchitecture,
    architecture_fields,
    architecture_from,
)
from model.calibration import Calibration, OutOfScope
from model.errors import CONTROL, ArchitectureError, ManifestError

FORMAT_VERSION = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LONGEST_LABEL = 1000  # characters
LONGEST_METRIC = 100  # characters of its name
MOST_METRICS = 1000
DEEPEST = 32  # objects and lists within each other
LARGEST_INTEGER = 2**64
TEMPERATURES = (1e-6, 1e6)
LARGEST_COEFFICIENT = 1e12  # of the line that tells what is out of scope
SURROGATE = re.compile(r"[\ud800-\udfff]")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The fields of ``manifest.json``.

    ``files`` maps the name of each other data file to its SHA-256; in the file, ``sha256`` is the
    digest of the manifest's own fields. ``provenance`` tells data,
    recipe, seed, commit and library versions; ``metrics`` what was measured, by name.
    """

    name: str
    version: str
    architecture: Architecture
    labels: tuple[str, ...] = ()
    calibration: Calibration | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("version", self.version)):
            if not NAME.fullmatch(text):
                raise ManifestError(
                    f"{what}: expected letters, digits, '.', '_' and '-', at most 100, got {text!r}"
                )
        self._check_labels()
        self._check_metrics()

    @property
    def kind(self) -> str:
        """What the network is: language-model or classifier."""
        return self.architecture.kind

    @property
    def answers(self) -> tuple[str, ...]:
        """What a classifier can answer: its labels, and last, if it knows that, out of scope."""
        beyond = None if self.calibration is None else self.calibration.out_of_scope
        return self.labels if beyond is None else (*self.labels, beyond.label)

    def to_json(self) -> str:
        """The text of the file. ValueError when a number is not finite."""
        values = {
            "format_version": self.format_version,
            "name": self.name,
            "version": self.version,
            "kind": self.kind,
            "architecture": architecture_fields(self.architecture),
            "labels": list(self.labels),
            "calibration": self.calibration and _calibration_fields(self.calibration),
            "provenance": self.provenance,
            "metrics": self.metrics,
            "files": self.files,
        }
        values["sha256"] = _digest(values)
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Reads the text of the file; raises ManifestError for anything that is not as expected."""
        try:
            values = json.loads(text, parse_constant=_refuse_constant)
        except ValueError as error:
            raise ManifestError(f"not JSON: {error}") from error
        except RecursionError as error:
            raise ManifestError("not JSON: nested too deeply") from error
        if not isinstance(values, dict):
            raise ManifestError("expected a JSON object")
        _check_json(values)
        version = values.get("format_version")
        if type(version) is not int or version != FORMAT_VERSION:
            raise ManifestError(
                f"format_version: this program reads version {FORMAT_VERSION}, not {version!r}"
            )
        try:
            architecture = architecture_from(
                _text(values, "kind"), _mapping(values, "architecture")
            )
        except ArchitectureError as error:
            raise ManifestError(f"architecture.{error}") from error
        manifest = cls(
            name=_text(values, "name"),
            version=_text(values, "version"),
            architecture=architecture,
            labels=_labels(values),
            calibration=_calibration(values),
            provenance=_mapping(values, "provenance"),
            metrics=cast("dict[str, float]", _mapping(values, "metrics")),
            files=_digests(values),
        )
        if values.pop("sha256", None) != _digest(values):
            raise ManifestError("damaged: sha256 is not the digest of the other fields")
        return manifest

    def _check_labels(self) -> None:
        for label in self.answers:
            check_label(label)
        if len(set(self.answers)) != len(self.answers):
            raise ManifestError("labels: a label stands there twice")
        expected = 0
        if isinstance(self.architecture, ClassifierArchitecture):
            expected = self.architecture.labels
        if len(self.labels) != expected:
            raise ManifestError(f"labels: expected {expected}, got {len(self.labels)}")

    def _check_metrics(self) -> None:
        if len(self.metrics) > MOST_METRICS:
            raise ManifestError(
                f"metrics: expected at most {MOST_METRICS}, got {len(self.metrics)}"
            )
        for name, value in self.metrics.items():
            if len(name) > LONGEST_METRIC or CONTROL.search(name):
                raise ManifestError(
                    f"metrics.{name[:LONGEST_METRIC]}: expected a name of at most "
                    f"{LONGEST_METRIC} characters without control characters"
                )
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ManifestError(f"metrics.{name}: expected a number, got {value!r}")


def check_label(label: str) -> None:
    """Raises ManifestError for a label that no artifact may have."""
    if len(label) > LONGEST_LABEL or CONTROL.search(label):
        raise ManifestError(
            f"labels: expected at most {LONGEST_LABEL} characters without control characters "
            f"or line breaks, got {label[:LONGEST_LABEL]!r}"
        )


def _check_json(value: object, place: str = "", depth: int = 0) -> None:
    """Raises ManifestError for what other JSON libraries, or answers in JSON, cannot hold."""
    name = place or "the file"
    if isinstance(value, str):
        if SURROGATE.search(value):
            raise ManifestError(f"{name}: holds half of a surrogate pair, which is no character")
    elif isinstance(value, int | float):
        finite = math.isfinite(value) if isinstance(value, float) else abs(value) <= LARGEST_INTEGER
        if not finite:
            raise ManifestError(f"{name}: the number is too large")
    elif isinstance(value, dict | list):
        if depth == DEEPEST:
            raise ManifestError(f"{name}: expected at most {DEEPEST} levels")
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            _check_json(key, name, depth)
            _check_json(part, f"{place}.{key}" if place else str(key), depth + 1)


def _digest(values: Mapping[str, object]) -> str:
    """SHA-256 of the fields as JSON with sorted keys: spacing and order do not matter."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise ManifestError(f"{name}: expected text, got {value!r}")
    return value


def _mapping(values: Mapping[str, object], name: str) -> dict[str, object]:
    value = values.get(name)
    if not isinstance(value, dict):
        raise ManifestError(f"{name}: expected an object, got {value!r}")
    return value


def _labels(values: Mapping[str, object]) -> tuple[str, ...]:
    labels = values.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ManifestError("labels: expected a list of texts")
    return tuple(labels)


def _calibration(values: Mapping[str, object]) -> Calibration | None:
    if values.get("calibration") is None:
        return None
    found = _mapping(values, "calibration")
    temperature = _number(found, "temperature", "calibration")
    if temperature <= 0:
        raise ManifestError(f"calibration.temperature: expected more than 0, got {temperature}")
    if not TEMPERATURES[0] <= temperature <= TEMPERATURES[1]:
        raise ManifestError(
            f"calibration.temperature: expected {TEMPERATURES[0]} to {TEMPERATURES[1]}, "
            f"got {temperature}"
        )
    if found.get("out_of_scope") is None:
        return Calibration(temperature)
    beyond, place = _mapping(found, "out_of_scope"), "calibration.out_of_scope"
    weight, bias = (_number(beyond, name, place) for name in ("weight", "bias"))
    if max(abs(weight), abs(bias)) > LARGEST_COEFFICIENT:
        raise ManifestError(
            f"{place}: expected weight and bias of at most {LARGEST_COEFFICIENT:g}, "
            f"got {weight} and {bias}"
        )
    return Calibration(temperature, OutOfScope(_text(beyond, "label"), weight, bias))


def _calibration_fields(calibration: Calibration) -> dict[str, object]:
    """As plain values; what an artifact does not know leaves no trace."""
    fields = asdict(calibration)
    return {name: value for name, value in fields.items() if value is not None}


def _number(values: Mapping[str, object], name: str, place: str) -> float:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ManifestError(f"{place}.{name}: expected a number, got {value!r}")
    return float(value)


def _digests(values: Mapping[str, object]) -> dict[str, str]:
    files = _mapping(values, "files")
    for name, digest in files.items():
        if not isinstance(digest, str) or not SHA256.fullmatch(digest):
            raise ManifestError(f"files.{name}: expected 64 hexadecimal digits, got {digest!r}")
    return cast("dict[str, str]", files)
