"""Predictions of a multi-label classifier, and their metrics: F1, subset accuracy, loss.

Shapes: B documents, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from model.calibration import Calibration, Float64Array, log_probabilities
from training.data.batching import LabelSets
from training.evaluation.calibration import fit_temperature, mean_loss
from training.evaluation.multi_label.thresholds import best_threshold, choose_thresholds


@dataclass(frozen=True)
class LabelCounts:
    """Of each label, (C,): documents that have it, that were given it, and both."""

    true_C: Float64Array
    given_C: Float64Array
    correct_C: Float64Array

    def micro_f1(self) -> float:
        """F1 of all decisions together; 0 if no label is true or given."""
        return float(2 * self.correct_C.sum() / max(1, self.true_C.sum() + self.given_C.sum()))

    def f1_of_labels(self) -> Float64Array:
        """F1 of each label; 0 for one that is never true and never given."""
        return np.asarray(2.0 * self.correct_C / np.maximum(1, self.true_C + self.given_C))

    def macro_f1(self) -> float:
        """The unweighted mean of F1 over labels that are true or given at least once."""
        occurring_C = self.true_C + self.given_C > 0
        return float(self.f1_of_labels()[occurring_C].mean()) if occurring_C.any() else 0.0


@dataclass(frozen=True)
class LabelSetPredictions:
    """Logits of documents, and 1 for each true label and 0 for the others, in the same order."""

    logits_BC: Tensor
    labels_BC: Tensor

    @cached_property
    def truth(self) -> LabelSets:
        """Whether each document has each label."""
        return np.asarray(self.labels_BC.numpy() > 0.5)

    @property
    def in_scope(self) -> LabelSetPredictions:
        """All documents: one without a label is no exception."""
        return self

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats, summed over the labels."""
        return mean_loss(self.logits_BC.double(), self.labels_BC)

    @property
    def best_micro_f1(self) -> float:
        """Micro F1 with the threshold that is best for all labels together."""
        logits_BC = self.logits_BC.double()
        probability_BC = logits_BC.sigmoid().numpy()
        threshold = best_threshold(probability_BC.ravel(), self.truth.ravel())
        return self._counts(probability_BC >= threshold).micro_f1()

    def fit(self) -> Calibration:
        """The temperature and the thresholds that are best for these documents."""
        temperature = fit_temperature(self.logits_BC, self.labels_BC)
        uncut = Calibration(temperature, thresholds=())
        thresholds = choose_thresholds(self.probabilities(uncut), self.truth)
        return Calibration(temperature, thresholds=thresholds)

    def probabilities(self, calibration: Calibration) -> Float64Array:
        """Probability of each label, (B, C)."""
        return np.asarray(np.exp(log_probabilities(self.logits_BC.numpy(), calibration)))

    def given(self, calibration: Calibration) -> LabelSets:
        """Whether each document is given each label, (B, C)."""
        return np.asarray(self.probabilities(calibration) >= np.array(calibration.thresholds))

    def counts(self, calibration: Calibration) -> LabelCounts:
        """The documents of each label."""
        return self._counts(self.given(calibration))

    def figures(self, calibration: Calibration) -> dict[str, float]:
        """The metrics by name."""
        given_BC = self.given(calibration)
        counts = self._counts(given_BC)
        return {
            "micro_f1": counts.micro_f1(),
            "macro_f1": counts.macro_f1(),
            "subset_accuracy": float((given_BC == self.truth).all(axis=1).mean()),
            "loss": self.loss,
            "documents": len(given_BC),
        }

    def metrics(self, split: str, calibration: Calibration) -> dict[str, float]:
        """The metrics for a manifest, rounded, with names that begin with ``split``."""
        values = self.figures(calibration)
        return {f"{split}_{name}": round(value, 6) for name, value in values.items()}

    def _counts(self, given_BC: LabelSets) -> LabelCounts:
        both_BC = given_BC & self.truth
        true_C, given_C, correct_C = (
            sets_BC.sum(axis=0).astype(np.float64) for sets_BC in (self.truth, given_BC, both_BC)
        )
        return LabelCounts(true_C, given_C, correct_C)


def guessing_micro_f1(truth_BC: LabelSets) -> float:
    """The highest micro F1 of one set of labels that every document is given."""
    falling_C = np.sort(truth_BC.sum(axis=0))[::-1]
    given_C = np.arange(1, len(falling_C) + 1) * len(truth_BC)
    return float((2 * falling_C.cumsum() / (given_C + falling_C.sum())).max())


def step_micro_f1(logits_BC: Tensor, labels_BC: Tensor) -> Tensor:
    """Micro F1 of the documents of a step, with a threshold of 0.5."""
    given_BC = (logits_BC > 0).float()
    correct = (given_BC * labels_BC).sum()
    return 2 * correct / (given_BC.sum() + labels_BC.sum()).clamp(min=1)
