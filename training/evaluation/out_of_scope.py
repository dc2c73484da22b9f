"""Detection of texts that belong to none of the labels: its fit and its scores.

In training, such texts are moved towards the uniform distribution over the labels (outlier
exposure, Hendrycks et al., 2019). Afterwards a logistic curve over the log-odds of the most
probable label is fitted on the validation split; it gives the probability of being out of scope.

The fit and the AUROC stay here: scikit-learn has both, but with SciPy it takes 200 MB and 1.3 s to
import, and its ``LogisticRegression`` stops at a tolerance that changes the fourth digit. Tests
compare both with SciPy. Shapes: B documents, C labels, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.calibration import Float64Array, OutOfScope, confidence_log_odds
from training.data.examples import OUT_OF_SCOPE_INDEX

THRESHOLD_STEPS = 50
NEWTON_STEPS = 100
L2_PENALTY = 1e-3  # without it, the slope of perfectly separated texts would be infinite


def fit_out_of_scope(
    logits_BC: Tensor, labels_B: Tensor, *, label: str, share: float | None
) -> OutOfScope:
    """The logistic curve with the lowest cross-entropy (Platt, 1999).

    Args:
        logits_BC: of a validation split.
        labels_B: true labels, some of them ``OUT_OF_SCOPE_INDEX``.
        label: the answer for texts out of scope.
        share: the expected share of texts out of scope in use; None: that of the split.
    """
    outside_B = (labels_B == OUT_OF_SCOPE_INDEX).numpy()
    log_odds_B = confidence_log_odds(logits_BC.numpy())
    mean, deviation = float(log_odds_B.mean()), float(log_odds_B.std()) or 1.0
    features_BF = np.stack([np.ones_like(log_odds_B), (log_odds_B - mean) / deviation], axis=1)
    bias, slope = logistic_regression(features_BF, outside_B, _weights(outside_B, share))
    return OutOfScope(label, weight=-slope / deviation, bias=bias - slope * mean / deviation)


def _weights(outside_B: np.ndarray, share: float | None) -> Float64Array:
    """Weights of texts, with a sum of 1 and a sum of ``share`` over those out of scope."""
    measured = float(outside_B.mean())
    expected = measured if share is None else share
    weights: Float64Array = np.where(
        outside_B, expected / measured, (1 - expected) / (1 - measured)
    )
    return weights / len(outside_B)


def logistic_regression(
    features_BF: Float64Array, truth_B: np.ndarray, weights_B: Float64Array
) -> Float64Array:
    """Coefficients (F,) with the lowest weighted cross-entropy and L2 penalty, by Newton's method.

    Args:
        features_BF: a constant feature is the bias; it is penalized like the others.
        truth_B: booleans.
        weights_B: their sum is 1.
    """
    coefficients_F = np.zeros(features_BF.shape[1])
    penalty_FF = L2_PENALTY * np.eye(features_BF.shape[1])
    for _ in range(NEWTON_STEPS):
        chance_B = 1.0 / (1.0 + np.exp(-np.clip(features_BF @ coefficients_F, -500, 500)))
        gradient_F = (
            features_BF.T @ (weights_B * (chance_B - truth_B)) + penalty_FF @ coefficients_F
        )
        curvature_B = weights_B * chance_B * (1 - chance_B)
        hessian_FF = (features_BF.T * curvature_B) @ features_BF + penalty_FF
        step_F = np.linalg.solve(hessian_FF, gradient_F)
        coefficients_F -= step_F
        if np.abs(step_F).max() < 1e-9:
            break
    return coefficients_F


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfScopeScore:
    """Metrics of the detection of texts out of scope, all between 0 and 1.

    Attributes:
        auroc: area under the ROC curve: the probability that the classifier is more confident on a
            text in scope than on one out of scope.
        recall: share of texts out of scope that were detected.
        precision: share of detected texts that are out of scope.
        false_accept: share of texts out of scope that got a label.
        false_reject: share of texts in scope that got no label.
        in_scope_accuracy: share of texts in scope that got their true label.
    """

    auroc: float
    recall: float
    precision: float
    false_accept: float
    false_reject: float
    in_scope_accuracy: float


def out_of_scope_score(logits_BC: Tensor, answers_B: Tensor, labels_B: Tensor) -> OutOfScopeScore:
    """Scores answers, label indices or ``OUT_OF_SCOPE_INDEX``; ``labels_B`` has both kinds."""
    outside_B, rejected_B = labels_B == OUT_OF_SCOPE_INDEX, answers_B == OUT_OF_SCOPE_INDEX
    detected = float((rejected_B & outside_B).sum())
    recall = detected / float(outside_B.sum())
    inside_B = ~outside_B
    return OutOfScopeScore(
        auroc=auroc(confidence_log_odds(logits_BC.numpy()), inside_B.numpy()),
        recall=recall,
        precision=detected / max(1.0, float(rejected_B.sum())),
        false_accept=1.0 - recall,
        false_reject=float(rejected_B[inside_B].double().mean()),
        in_scope_accuracy=float((answers_B == labels_B)[inside_B].double().mean()),
    )


@dataclass(frozen=True, slots=True)
class Threshold:
    """Both error rates if texts are rejected from a ``probability`` of out of scope on."""

    probability: float
    false_accept: float
    false_reject: float


def threshold_curve(chance_B: Tensor, labels_B: Tensor) -> list[Threshold]:
    """Error rates at all thresholds in steps of 0.02.

    Args:
        chance_B: the probability of being out of scope.
        labels_B: true labels, some of them ``OUT_OF_SCOPE_INDEX``.
    """
    outside_B = labels_B == OUT_OF_SCOPE_INDEX
    thresholds = []
    for step in range(THRESHOLD_STEPS + 1):
        rejected_B = (chance_B >= step / THRESHOLD_STEPS).double()
        accepted, rejected = 1 - rejected_B[outside_B].mean(), rejected_B[~outside_B].mean()
        thresholds.append(Threshold(step / THRESHOLD_STEPS, float(accepted), float(rejected)))
    return thresholds


def auroc(scores_B: Float64Array, positive_B: np.ndarray) -> float:
    """The probability that a positive has a higher score than a negative; ties count half."""
    _, inverse_B, counts = np.unique(scores_B, return_inverse=True, return_counts=True)
    rank_B = (np.cumsum(counts) - (counts - 1) / 2)[inverse_B]
    positives, negatives = int(positive_B.sum()), int((~positive_B).sum())
    wins = rank_B[positive_B].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))
