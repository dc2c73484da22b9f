"""Results of the evaluation of a multi-label classifier by label and by document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.calibration import Calibration
from training.evaluation.multi_label.predictions import LabelSetPredictions
from training.readers.examples import Example
from training.runs.history import History

MAX_WRONG_DOCUMENTS = 25
MAX_TEXT_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class ThresholdMetrics:
    """Metrics of one label.

    ``documents`` counts the documents that have it, ``answers`` those that were given it.
    """

    label: str
    threshold: float
    documents: int
    answers: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class WrongDocument:
    """A document with other labels than its own, and the probability of the worst decision."""

    text: str
    missed: list[str]
    surplus: list[str]
    certainty: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiLabelResults:
    """Results of one classifier. ``labels`` are in ascending order of F1, ``wrong`` documents in
    descending order of certainty.
    """

    metrics: dict[str, float]
    calibration: Calibration
    labels: list[ThresholdMetrics]
    wrong: list[WrongDocument]
    history: History | None

    def details(self) -> dict[str, Any]:
        """All results but the metrics, as values for JSON."""
        history = {} if self.history is None else {"training_curves": self.history.record()}
        return {
            "calibration": asdict(self.calibration),
            "labels": [asdict(label) for label in self.labels],
            "wrong_documents": [asdict(document) for document in self.wrong],
            **history,
        }


def multi_label_results(
    predictions: LabelSetPredictions,
    examples: Sequence[Example],
    names: Sequence[str],
    *,
    calibration: Calibration,
    history: History | None,
) -> MultiLabelResults:
    """Evaluates predictions.

    Args:
        predictions: logits and true labels.
        examples: the documents, in the same order.
        names: of the labels.
        calibration: of the artifact, with thresholds.
        history: of the training run, if its log exists.
    """
    return MultiLabelResults(
        metrics=predictions.figures(calibration),
        calibration=calibration,
        labels=_labels(predictions, names, calibration),
        wrong=_wrong_documents(predictions, examples, names, calibration),
        history=history,
    )


def _labels(
    predictions: LabelSetPredictions, names: Sequence[str], calibration: Calibration
) -> list[ThresholdMetrics]:
    counts = predictions.counts(calibration)
    f1_C = counts.f1_of_labels()
    metrics = [
        ThresholdMetrics(
            name,
            (calibration.thresholds or ())[index],
            documents=int(counts.true_C[index]),
            answers=int(counts.given_C[index]),
            precision=float(counts.correct_C[index] / max(1, counts.given_C[index])),
            recall=float(counts.correct_C[index] / max(1, counts.true_C[index])),
            f1=float(f1_C[index]),
        )
        for index, name in enumerate(names)
    ]
    return sorted(metrics, key=lambda label: label.f1)


def _wrong_documents(
    predictions: LabelSetPredictions,
    examples: Sequence[Example],
    names: Sequence[str],
    calibration: Calibration,
) -> list[WrongDocument]:
    probability_BC, given_BC = (
        predictions.probabilities(calibration),
        predictions.given(calibration),
    )
    wrong_BC = given_BC != predictions.truth
    certainty_B = np.where(wrong_BC, np.where(given_BC, probability_BC, 1 - probability_BC), -1.0)
    certainty_B = certainty_B.max(axis=1)
    order = np.argsort(-certainty_B, kind="stable")[:MAX_WRONG_DOCUMENTS].tolist()
    return [
        WrongDocument(
            _abbreviated(examples[index].text),
            missed=_chosen(names, wrong_BC[index] & ~given_BC[index]),
            surplus=_chosen(names, wrong_BC[index] & given_BC[index]),
            certainty=float(certainty_B[index]),
        )
        for index in order
        if certainty_B[index] >= 0
    ]


def _chosen(names: Sequence[str], chosen_C: NDArray[np.bool_]) -> list[str]:
    return [names[at] for at in np.flatnonzero(chosen_C).tolist()]


def _abbreviated(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARACTERS else f"{text[:MAX_TEXT_CHARACTERS]} […]"
