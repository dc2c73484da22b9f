"""Texts that belong to none of the labels: how a classifier learns of them, and how well it tells.

In training they are pulled towards no label in particular (outlier exposure, Hendrycks et al.,
2019); afterwards a logistic curve over how sure it is of the likeliest label, fitted on the
validation split, says how likely a text is out of scope. Knows neither files nor networks.

Shapes: B documents, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from model.calibration import Doubles, OutOfScope, confidence_log_odds
from training.data.examples import OUTSIDE

STEPS = 50  # of the border
ITERATIONS = 100
PULL = 1e-3  # towards a flat curve: without it, perfectly separated texts ask for a step


def fit_out_of_scope(
    logits_BC: Tensor, labels_B: Tensor, *, label: str, share: float | None
) -> OutOfScope:
    """The logistic curve under which what lies outside is likeliest (Platt, 1999).

    Args:
        logits_BC: of a validation split.
        labels_B: true labels, some of them ``OUTSIDE``.
        label: what such texts are called.
        share: how much of the texts to come is thought to lie outside; None: as in the split.
    """
    outside_B = (labels_B == OUTSIDE).numpy()
    sure_B = confidence_log_odds(logits_BC.numpy())
    center, spread = float(sure_B.mean()), float(sure_B.std()) or 1.0
    rows_B2 = np.stack([np.ones_like(sure_B), (sure_B - center) / spread], axis=1)
    bias, slope = _logistic_regression(rows_B2, outside_B, _weights(outside_B, share))
    return OutOfScope(label, weight=-slope / spread, bias=bias - slope * center / spread)


def _weights(outside_B: np.ndarray, share: float | None) -> Doubles:
    """Of each text, so that those outside make up ``share``; they sum to 1."""
    found = float(outside_B.mean())
    wanted = found if share is None else share
    weights: Doubles = np.where(outside_B, wanted / found, (1 - wanted) / (1 - found))
    return weights / len(outside_B)


def _logistic_regression(rows_BF: Doubles, truth_B: np.ndarray, weights_B: Doubles) -> Doubles:
    """Coefficients (F,) by Newton's method; two numbers need no library."""
    coefficients_F = np.zeros(rows_BF.shape[1])
    pull_FF = PULL * np.eye(rows_BF.shape[1])
    for _ in range(ITERATIONS):
        chance_B = 1.0 / (1.0 + np.exp(-np.clip(rows_BF @ coefficients_F, -500, 500)))
        slope_F = rows_BF.T @ (weights_B * (chance_B - truth_B)) + pull_FF @ coefficients_F
        curve_FF = (rows_BF.T * (weights_B * chance_B * (1 - chance_B))) @ rows_BF + pull_FF
        step_F = np.linalg.solve(curve_FF, slope_F)
        coefficients_F -= step_F
        if np.abs(step_F).max() < 1e-9:
            break
    return coefficients_F


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfScopeScore:
    """How well a classifier tells what belongs to no label.

    ``auroc``: how often the classifier is surer of a text inside than of one outside, whatever the
    border.
    ``recall`` and ``precision`` of the answer "out of scope". ``false_accept``: the share of texts
    outside that got a label; ``false_reject``: of texts inside that got none.
    ``in_scope_accuracy``: of texts inside, the share that got their label.
    """

    auroc: float
    recall: float
    precision: float
    false_accept: float
    false_reject: float
    in_scope_accuracy: float


def out_of_scope_score(logits_BC: Tensor, answers_B: Tensor, labels_B: Tensor) -> OutOfScopeScore:
    """Scores answers (label indices or ``OUTSIDE``) against the truth, which has both kinds."""
    outside_B, rejected_B = labels_B == OUTSIDE, answers_B == OUTSIDE
    found = float((rejected_B & outside_B).sum())
    recall = found / float(outside_B.sum())
    inside_B = ~outside_B
    return OutOfScopeScore(
        auroc=_auroc(confidence_log_odds(logits_BC.numpy()), inside_B.numpy()),
        recall=recall,
        precision=found / max(1.0, float(rejected_B.sum())),
        false_accept=1.0 - recall,
        false_reject=float(rejected_B[inside_B].double().mean()),
        in_scope_accuracy=float((answers_B == labels_B)[inside_B].double().mean()),
    )


@dataclass(frozen=True, slots=True)
class Threshold:
    """What becomes of texts if those are out of scope that are so with at least ``probability``."""

    probability: float
    false_accept: float
    false_reject: float


def threshold_curve(chance_B: Tensor, labels_B: Tensor) -> list[Threshold]:
    """Scores at all thresholds in steps of 0.02; ``chance_B``: probability of out of scope."""
    outside_B = labels_B == OUTSIDE
    found = []
    for step in range(STEPS + 1):
        rejected_B = (chance_B >= step / STEPS).double()
        accepted, rejected = 1 - rejected_B[outside_B].mean(), rejected_B[~outside_B].mean()
        found.append(Threshold(step / STEPS, float(accepted), float(rejected)))
    return found


def _auroc(scores_B: Doubles, high_B: np.ndarray) -> float:
    """How often a score that should be high is above one that should be low; a tie counts half."""
    _, place_B, count = np.unique(scores_B, return_inverse=True, return_counts=True)
    rank_B = (np.cumsum(count) - (count - 1) / 2)[place_B]
    high, low = int(high_B.sum()), int((~high_B).sum())
    return float((rank_B[high_B].sum() - high * (high + 1) / 2) / (high * low))
