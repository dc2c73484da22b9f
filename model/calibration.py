"""From a classifier's logits to probabilities that mean what they say.

A temperature divides the logits (Guo et al., 2017). A classifier may also know when a text belongs
to none of its labels: the less sure it is of the likeliest one, the likelier that is (Hendrycks and
Gimpel, 2017). Then "none of them" is one more answer with a name and a probability of its own, and
the labels share the rest. Numbers only; how they are fitted is for training.

Shapes: B documents, C labels, A answers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OutOfScope:
    """A text belongs to no label with the probability sigmoid(bias - weight x confidence_log_odds).

    ``label`` is what that is answered as.
    """

    label: str
    weight: float
    bias: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Confidences are softmax(logits / temperature), times what is left by ``out_of_scope``.

    Fitted on the validation split.
    """

    temperature: float
    out_of_scope: OutOfScope | None = None


UNCALIBRATED = Calibration(1.0)


def confidence_log_odds(logits_BC: Numbers) -> Doubles:
    """The log-odds of the likeliest label against all others together, (B,)."""
    ordered_BC = np.sort(logits_BC.astype(np.float64), axis=1)
    others_B = np.logaddexp.reduce(ordered_BC[:, :-1], axis=1)
    return np.asarray(ordered_BC[:, -1] - others_B)


def log_probabilities(logits_BC: Numbers, calibration: Calibration) -> Doubles:
    """Of each answer, (B, A): the labels, and after them out of scope where that is known."""
    scaled_BC = logits_BC.astype(np.float64) / calibration.temperature
    labels_BC = scaled_BC - np.logaddexp.reduce(scaled_BC, axis=1, keepdims=True)
    beyond = calibration.out_of_scope
    if beyond is None:
        return labels_BC
    odds_B1 = (beyond.bias - beyond.weight * confidence_log_odds(logits_BC))[:, None]
    within_B1, outside_B1 = -np.logaddexp(0.0, odds_B1), -np.logaddexp(0.0, -odds_B1)
    return np.concatenate([labels_BC + within_B1, outside_B1], axis=1)
