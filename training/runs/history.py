"""The course of a run as curves: training and validation loss and the learning rate over steps.

Read from the log that stands beside an artifact, in DIR.run. Knows neither networks nor plots.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.runs.directory import TRAINING, VALIDATION, RunDirectory, read_log


@dataclass(frozen=True, slots=True)
class Curve:
    """Values by the number of steps."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What a run told of itself. ``training`` is smoothed; a curve may be empty."""

    training: Curve
    validation: Curve
    accuracy: Curve
    learning_rate: Curve

    def record(self) -> dict[str, Any]:
        """As plain values, without the curves that are empty."""
        return {name: curve for name, curve in asdict(self).items() if curve["steps"]}


def read_history(artifact: Path) -> History | None:
    """The history of the run that made an artifact; None where none is told.

    Of a step that is told more than once the last record counts.
    """
    log = read_log(RunDirectory(artifact.resolve()).log)
    told = {(record["event"], record["step"]): record for record in log}
    records = sorted(told.values(), key=lambda record: record["step"])
    of_training = [record for record in records if record["event"] == TRAINING]
    of_validation = [record for record in records if record["event"] == VALIDATION]
    if not of_validation:
        return None
    return History(
        training=_curve(of_training, "loss"),
        validation=_curve(of_validation, "loss"),
        accuracy=_curve(of_validation, "accuracy"),
        learning_rate=_curve(records, "learning_rate"),
    )


def _curve(records: Iterable[Mapping[str, Any]], name: str) -> Curve:
    points = {
        record["step"]: float(record[name])
        for record in records
        if isinstance(record.get(name), int | float) and math.isfinite(record[name])
    }
    return Curve(tuple(points), tuple(points.values()))
