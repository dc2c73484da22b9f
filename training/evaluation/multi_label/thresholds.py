"""The probability from which a text has a label, chosen on validation data for each label.

The threshold of a label maximizes its F1 on the validation split (Yang, "A Study on Thresholding
Strategies for Text Categorization", 2001). The F1 of few texts with a label says little: such a
label has the threshold that is best for all labels together. Shapes: B documents, C labels,
P decisions.

scikit-learn's ``precision_recall_curve`` gives the same candidates; it would add 200 MB (with
SciPy) and 1.3 s of import time for a few lines of NumPy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.calibration import Float64Array
from training.data.batching import LabelSets

MIN_POSITIVES = 10  # validation texts with a label, from which it has a threshold of its own
USUAL_THRESHOLD = 0.5  # where no text has any label
LOWEST_THRESHOLD = float(np.finfo(np.float64).tiny)


def choose_thresholds(probability_BC: Float64Array, truth_BC: LabelSets) -> tuple[float, ...]:
    """A threshold for each label, from probabilities of documents with known labels."""
    common, few = best_threshold(probability_BC.ravel(), truth_BC.ravel()), rare_labels(truth_BC)
    return tuple(
        common if label in few else best_threshold(probability_BC[:, label], truth_BC[:, label])
        for label in range(truth_BC.shape[1])
    )


def rare_labels(truth_BC: LabelSets) -> list[int]:
    """The labels that have too few documents for a threshold of their own."""
    return [int(label) for label in np.flatnonzero(truth_BC.sum(axis=0) < MIN_POSITIVES)]


def best_threshold(probability_P: Float64Array, truth_P: NDArray[np.bool_]) -> float:
    """The threshold of decisions with the highest F1, between two probabilities that occur.

    Of several it is the one nearest to 0.5, also if no decision is true.
    """
    order_P = np.argsort(-probability_P, kind="stable")
    falling_P = probability_P[order_P]
    positives = int(truth_P.sum())
    if positives == 0:
        return USUAL_THRESHOLD
    hits_P = np.cumsum(truth_P[order_P])
    f1_P = 2.0 * hits_P / (np.arange(1, len(falling_P) + 1) + positives)
    # A threshold is below the last probability it accepts and above the next, which must differ.
    below_P = np.append(falling_P[1:], 0.0)
    f1_P = np.where(below_P < falling_P, f1_P, -1.0)
    best_P = np.flatnonzero(f1_P == f1_P.max())
    # The nearest to 0.5 of each interval; its middle, unless 0.5 is inside.
    middle_P = (falling_P[best_P] + below_P[best_P]) / 2
    middle_P = np.where(middle_P > below_P[best_P], middle_P, falling_P[best_P])  # rounding
    inside_P = (below_P[best_P] < USUAL_THRESHOLD) & (falling_P[best_P] >= USUAL_THRESHOLD)
    candidates_P = np.where(inside_P, USUAL_THRESHOLD, middle_P)
    nearest = candidates_P[np.abs(candidates_P - USUAL_THRESHOLD).argmin()]
    return float(min(1.0, max(LOWEST_THRESHOLD, nearest)))
