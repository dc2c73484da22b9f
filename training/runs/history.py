"""The curves of a run by step: training and validation loss, accuracy, learning rate.

They are read from the log of the run in DIR.run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.runs.directory import TRAINING_EVENT, VALIDATION_EVENT, RunDirectory, read_log


@dataclass(frozen=True, slots=True)
class Curve:
    """Values at numbers of steps."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class History:
    """The curves of a run, which may be empty. ``training`` is smoothed."""

    training: Curve
    validation: Curve
    accuracy: Curve
    learning_rate: Curve

    def record(self) -> dict[str, Any]:
        """The curves as JSON values, without empty ones."""
        return {name: curve for name, curve in asdict(self).items() if curve["steps"]}


def read_history(artifact: Path) -> History | None:
    """The history of the run that made an artifact; None without a log.

    Of several records for a step the last one counts.
    """
    log = read_log(RunDirectory(artifact.resolve()).log)
    latest = {(record["event"], record["step"]): record for record in log}
    records = sorted(latest.values(), key=lambda record: record["step"])
    of_training = [record for record in records if record["event"] == TRAINING_EVENT]
    of_validation = [record for record in records if record["event"] == VALIDATION_EVENT]
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
