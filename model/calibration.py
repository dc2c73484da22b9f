"""Calibrated probabilities from a classifier's logits.

A temperature divides the logits (Guo et al., 2017). A classifier may also detect texts that are out
of scope, which belong to none of its labels, by a low confidence in the most probable label
(Hendrycks and Gimpel, 2017). "Out of scope" is then one more answer with a probability of its own;
the labels share the rest. A multi-label classifier decides about each label on its own: the
probability of a label is a sigmoid, and a text gets the labels whose probability reaches their
threshold. :mod:`training.evaluation` fits the parameters.

Shape suffixes: B documents, C labels, A answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatingArray = npt.NDArray[np.floating]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutOfScope:
    """P(out of scope) = sigmoid(bias - weight x confidence_log_odds), and the answer's label."""

    label: str
    weight: float
    bias: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters fitted on the validation split.

    P(label) = softmax(logits / temperature) x (1 - P(out of scope)). With ``thresholds``, one for
    each label of a multi-label classifier, P(label) = sigmoid(logit / temperature).
    """

    temperature: float
    out_of_scope: OutOfScope | None = None
    thresholds: tuple[float, ...] | None = None


UNCALIBRATED = Calibration(1.0)


def confidence_log_odds(logits_BC: FloatingArray) -> Float64Array:
    """Log-odds (B,) of the most probable label against all others together."""
    ordered_BC = np.sort(logits_BC.astype(np.float64), axis=1)
    others_B = np.logaddexp.reduce(ordered_BC[:, :-1], axis=1)
    return np.asarray(ordered_BC[:, -1] - others_B)


def log_probabilities(logits_BC: FloatingArray, calibration: Calibration) -> Float64Array:
    """Log-probabilities (B, A) of the answers: the labels, then out of scope if it is fitted."""
    scaled_BC = logits_BC.astype(np.float64) / calibration.temperature
    if calibration.thresholds is not None:
        return np.asarray(-np.logaddexp(0.0, -scaled_BC))
    labels_BC = scaled_BC - np.logaddexp.reduce(scaled_BC, axis=1, keepdims=True)
    line = calibration.out_of_scope
    if line is None:
        return labels_BC
    log_odds_B1 = (line.bias - line.weight * confidence_log_odds(logits_BC))[:, None]
    in_scope_B1 = -np.logaddexp(0.0, log_odds_B1)
    out_of_scope_B1 = -np.logaddexp(0.0, -log_odds_B1)
    return np.concatenate([labels_BC + in_scope_B1, out_of_scope_B1], axis=1)
