"""The manifest of an artifact, ``manifest.json``, and the names of an artifact's files.

Every field of a manifest is checked when it is read.
:mod:`model.artifact` compares the other files of the artifact with it.
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
from model.errors import CONTROL_CHARACTERS, ArchitectureError, ManifestError

MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "weights.safetensors"
DIGESTED_FILES = ("tokenizer.json", "weights.safetensors")
MODEL_CARD_FILE = "README.md"
FORMAT_VERSION = 2  # the newest
FIRST_FORMAT_VERSION = 1  # of models that earlier releases read, too
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_LABEL_LENGTH = 1000  # characters
MAX_METRIC_NAME_LENGTH = 100  # characters
MAX_METRICS = 1000
MAX_NESTING = 32  # levels of objects and lists
MAX_INTEGER = 2**64
VALID_TEMPERATURES = (1e-6, 1e6)
MAX_COEFFICIENT = 1e12  # of the logistic regression of out-of-scope texts
SURROGATE_PATTERN = re.compile(r"[\ud800-\udfff]")
SHA256_PATTERN = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The fields of ``manifest.json``.

    Args:
        name: of the model, as clients request it.
        version: of the model.
        architecture: of the network.
        labels: of a classifier, in the order of its logits.
        calibration: of a classifier. Its thresholds make it a multi-label classifier.
        provenance: data, recipe, seed, commit and library versions.
        metrics: by name.
        files: SHA-256 of each other data file by its name. The file also has the field ``sha256``,
            the digest of the manifest's own fields.

    Raises:
        ManifestError: a name, version, label or metric is out of range.
    """

    name: str
    version: str
    architecture: Architecture
    labels: tuple[str, ...] = ()
    calibration: Calibration | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for field_name, text in (("name", self.name), ("version", self.version)):
            if not NAME_PATTERN.fullmatch(text):
                raise ManifestError(
                    f"{field_name}: expected letters, digits, '.', '_' and '-', at most 100, "
                    f"got {text!r}"
                )
        self._check_labels()
        self._check_metrics()

    @property
    def kind(self) -> str:
        """Kind of the network: "language-model" or "classifier"."""
        return self.architecture.kind

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """Probability from which a text has each label; None unless the model is multi-label."""
        return None if self.calibration is None else self.calibration.thresholds

    @property
    def format_version(self) -> int:
        """Of the artifact: the oldest one that has all that the model needs.

        A release that knows no thresholds would answer as if a text had one label, so it has to
        refuse a multi-label model.
        """
        return FIRST_FORMAT_VERSION if self.thresholds is None else FORMAT_VERSION

    @property
    def answers(self) -> tuple[str, ...]:
        """Answers of a classifier: its labels, and last its label of out-of-scope texts, if any."""
        out_of_scope = None if self.calibration is None else self.calibration.out_of_scope
        return self.labels if out_of_scope is None else (*self.labels, out_of_scope.label)

    def to_json(self) -> str:
        """The text of the file. Raises ValueError if a number is not finite."""
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
        """Reads the text of the file. Raises ManifestError if a field is missing or not valid."""
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
        if type(version) is not int or not FIRST_FORMAT_VERSION <= version <= FORMAT_VERSION:
            raise ManifestError(
                f"format_version: this version reads {FIRST_FORMAT_VERSION} to {FORMAT_VERSION}, "
                f"got {version!r}"
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
        if version != manifest.format_version:
            raise ManifestError(
                f"format_version: expected {manifest.format_version} for a model "
                f"{'without' if manifest.thresholds is None else 'with'} thresholds, got {version}"
            )
        return manifest

    def _check_labels(self) -> None:
        for label in self.answers:
            check_label(label)
        if len(set(self.answers)) != len(self.answers):
            raise ManifestError("labels: expected each label once")
        expected = 0
        if isinstance(self.architecture, ClassifierArchitecture):
            expected = self.architecture.labels
        if len(self.labels) != expected:
            raise ManifestError(f"labels: expected {expected}, got {len(self.labels)}")
        if self.thresholds is not None and len(self.thresholds) != expected:
            raise ManifestError(
                f"calibration.thresholds: expected {expected}, one for each label, "
                f"got {len(self.thresholds)}"
            )

    def _check_metrics(self) -> None:
        if len(self.metrics) > MAX_METRICS:
            raise ManifestError(f"metrics: expected at most {MAX_METRICS}, got {len(self.metrics)}")
        for name, value in self.metrics.items():
            if len(name) > MAX_METRIC_NAME_LENGTH or CONTROL_CHARACTERS.search(name):
                raise ManifestError(
                    f"metrics.{name[:MAX_METRIC_NAME_LENGTH]}: expected a name of at most "
                    f"{MAX_METRIC_NAME_LENGTH} characters without control characters"
                )
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ManifestError(f"metrics.{name}: expected a number, got {value!r}")


def check_label(label: str) -> None:
    """Raises ManifestError if the label is too long or has control characters."""
    if len(label) > MAX_LABEL_LENGTH or CONTROL_CHARACTERS.search(label):
        raise ManifestError(
            f"labels: expected at most {MAX_LABEL_LENGTH} characters without control characters "
            f"or line breaks, got {label[:MAX_LABEL_LENGTH]!r}"
        )


def _check_json(value: object, place: str = "", depth: int = 0) -> None:
    """Raises ManifestError for values that other JSON libraries or a JSON response cannot hold."""
    name = place or "the file"
    if isinstance(value, str):
        if SURROGATE_PATTERN.search(value):
            raise ManifestError(f"{name}: has half of a surrogate pair, which is no character")
    elif isinstance(value, int | float):
        finite = math.isfinite(value) if isinstance(value, float) else abs(value) <= MAX_INTEGER
        if not finite:
            raise ManifestError(f"{name}: the number is too large")
    elif isinstance(value, dict | list):
        if depth == MAX_NESTING:
            raise ManifestError(f"{name}: expected at most {MAX_NESTING} levels")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            _check_json(key, name, depth)
            _check_json(item, f"{place}.{key}" if place else str(key), depth + 1)


def _digest(values: Mapping[str, object]) -> str:
    """SHA-256 of the fields as JSON with sorted keys, independent of white space and order."""
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
    fields = _mapping(values, "calibration")
    temperature = _number(fields, "temperature", "calibration")
    if temperature <= 0:
        raise ManifestError(f"calibration.temperature: expected more than 0, got {temperature}")
    if not VALID_TEMPERATURES[0] <= temperature <= VALID_TEMPERATURES[1]:
        raise ManifestError(
            f"calibration.temperature: expected {VALID_TEMPERATURES[0]} to "
            f"{VALID_TEMPERATURES[1]}, got {temperature}"
        )
    thresholds = _thresholds(fields)
    if fields.get("out_of_scope") is None:
        return Calibration(temperature, thresholds=thresholds)
    if thresholds is not None:
        raise ManifestError("calibration: expected thresholds or out_of_scope, got both")
    out_of_scope, place = _mapping(fields, "out_of_scope"), "calibration.out_of_scope"
    weight, bias = (_number(out_of_scope, name, place) for name in ("weight", "bias"))
    if max(abs(weight), abs(bias)) > MAX_COEFFICIENT:
        raise ManifestError(
            f"{place}: expected weight and bias of at most {MAX_COEFFICIENT:g}, "
            f"got {weight} and {bias}"
        )
    return Calibration(temperature, OutOfScope(_text(out_of_scope, "label"), weight, bias))


def _thresholds(fields: Mapping[str, object]) -> tuple[float, ...] | None:
    values = fields.get("thresholds")
    if values is None:
        return None
    if not isinstance(values, list):
        raise ManifestError(f"calibration.thresholds: expected a list, got {values!r:.100}")
    numbers = {f"thresholds.{index}": value for index, value in enumerate(values)}
    thresholds = tuple(_number(numbers, name, "calibration") for name in numbers)
    for name, threshold in zip(numbers, thresholds, strict=True):
        if not 0.0 < threshold <= 1.0:
            raise ManifestError(
                f"calibration.{name}: expected more than 0 and at most 1, got {threshold}"
            )
    return thresholds


def _calibration_fields(calibration: Calibration) -> dict[str, object]:
    """The calibration as JSON values, without the fields that are None."""
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
        if not isinstance(digest, str) or not SHA256_PATTERN.fullmatch(digest):
            raise ManifestError(f"files.{name}: expected 64 hexadecimal digits, got {digest!r}")
    return cast("dict[str, str]", files)
