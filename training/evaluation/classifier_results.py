"""Results of a classifier evaluation by label, by pair of labels, by confidence and by document.

Shapes: B documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from model.calibration import Calibration
from training.evaluation.calibration import ConfidenceBin, reliability_bins
from training.evaluation.classifier import Predictions, TopError, top_errors
from training.evaluation.out_of_scope_results import OutOfScopeResults, out_of_scope_results
from training.readers.examples import Example
from training.runs.history import History


@dataclass(frozen=True, slots=True)
class LabelMetrics:
    """Precision, recall and F1 of one label.

    ``documents`` counts the documents with that true label, ``answers`` the predictions of it.
    """

    label: str
    documents: int
    answers: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """The number of documents with the label ``truth`` that were classified as ``answer``."""

    truth: str
    answer: str
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierResults:
    """Results of one classifier on labeled documents.

    ``labels`` are in ascending order of F1, ``confusions`` in descending order of documents, and
    ``top_errors`` in descending order of confidence. ``before`` and ``after`` are confidence bins
    without and with the temperature.
    """

    metrics: dict[str, float]
    calibration: Calibration
    labels: list[LabelMetrics]
    confusions: list[Confusion]
    before: list[ConfidenceBin]
    after: list[ConfidenceBin]
    top_errors: list[TopError]
    out_of_scope: OutOfScopeResults | None
    history: History | None

    def details(self) -> dict[str, Any]:
        """All results but the metrics, as values for JSON."""
        history = {} if self.history is None else {"training_curves": self.history.record()}
        outside = {} if self.out_of_scope is None else {"out_of_scope": self.out_of_scope.record()}
        return {
            "calibration": asdict(self.calibration),
            "labels": [asdict(label) for label in self.labels],
            "confusions": [asdict(confusion) for confusion in self.confusions],
            "reliability_before": [asdict(bin_) for bin_ in self.before],
            "reliability": [asdict(bin_) for bin_ in self.after],
            "top_errors": [asdict(error) for error in self.top_errors],
            **outside,
            **history,
        }


def classifier_results(
    predictions: Predictions,
    examples: Sequence[Example],
    labels: Sequence[str],
    *,
    calibration: Calibration,
    history: History | None,
) -> ClassifierResults:
    """Evaluates predictions.

    Args:
        predictions: logits and true labels.
        examples: the documents, in the same order.
        labels: the names of all answers, with out of scope last if the classifier has it.
        calibration: of the artifact.
        history: of the training run, if its log exists.
    """
    before, after = _before_and_after(predictions, calibration)
    confusions = after.confusions(len(examples))
    return ClassifierResults(
        metrics=_metrics(predictions, calibration),
        calibration=calibration,
        labels=_label_metrics(after, labels),
        confusions=[Confusion(labels[t], labels[a], count) for t, a, count in confusions],
        before=reliability_bins(before.logits_BC.exp(), before.labels_B),
        after=reliability_bins(after.logits_BC.exp(), after.labels_B),
        top_errors=top_errors(after, examples, labels),
        out_of_scope=out_of_scope_results(predictions, examples, labels, calibration),
        history=history,
    )


def _metrics(predictions: Predictions, calibration: Calibration) -> dict[str, float]:
    before, after = _before_and_after(predictions, calibration)
    metrics = {
        "accuracy": after.accuracy,
        "macro_f1": after.macro_f1(),
        "loss": before.loss,
        "calibration_error_before": before.calibration_error(),
        "calibration_error": after.calibration_error(),
        "documents": len(after.labels_B),
    }
    return metrics | predictions.out_of_scope(calibration)


def _before_and_after(
    predictions: Predictions, calibration: Calibration
) -> tuple[Predictions, Predictions]:
    """Answers without and with the temperature; the detection of out of scope is in both."""
    uncalibrated = replace(calibration, temperature=1.0)
    return predictions.answered(uncalibrated), predictions.answered(calibration)


def _label_metrics(predictions: Predictions, labels: Sequence[str]) -> list[LabelMetrics]:
    """Labels that are true or predicted at least once, in ascending order of F1."""
    predicted_B = predictions.logits_BC.argmax(dim=1)
    correct_B = predicted_B == predictions.labels_B
    true_counts, predicted_counts, correct_counts = (
        torch.bincount(labels_N, minlength=len(labels)).tolist()
        for labels_N in (predictions.labels_B, predicted_B, predicted_B[correct_B])
    )
    metrics = [
        LabelMetrics(
            label,
            documents=true,
            answers=predicted,
            precision=correct / max(1, predicted),
            recall=correct / max(1, true),
            f1=2 * correct / (true + predicted),
        )
        for label, true, predicted, correct in zip(
            labels, true_counts, predicted_counts, correct_counts, strict=True
        )
        if true + predicted > 0
    ]
    return sorted(metrics, key=lambda label: label.f1)
