"""Temperature scaling: confidence that means what it says.

One number divides all logits, so that the confidence of the chosen label agrees with how often it
is right (Guo et al., "On Calibration of Modern Neural Networks", 2017). It changes no decision.
Targets are smoothed as in Platt (1999), or a validation split without a mistake would ask for
certainty.

Does not know networks or artifacts. Shapes: B documents, C labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

TEMPERATURE_RANGE = (0.05, 20.0)
BINS = 15
GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(logits_BC: Tensor, labels_B: Tensor) -> float:
    """The temperature under which the labels are likeliest.

    The loss is convex in 1/temperature, so a golden-section search finds its one minimum.
    """
    logits_BC = logits_BC.double()
    mistakes = 1.0 / (len(labels_B) + 2)

    def loss(log_temperature: float) -> float:
        return _smoothed_loss(logits_BC / math.exp(log_temperature), labels_B, mistakes)

    low, high = (math.log(bound) for bound in TEMPERATURE_RANGE)
    while high - low > 1e-4:
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def temperature_loss(logits_BC: Tensor, labels_B: Tensor) -> float:
    """The mean cross-entropy under the temperature that suits the logits best."""
    return float(
        functional.cross_entropy(logits_BC / fit_temperature(logits_BC, labels_B), labels_B)
    )


def _smoothed_loss(logits_BC: Tensor, labels_B: Tensor, mistakes: float) -> float:
    """Cross-entropy where each label is believed wrong with a small probability."""
    labels = logits_BC.shape[1]
    # torch spreads its smoothing over all labels, the right one included.
    smoothing = mistakes * labels / (labels - 1)
    return float(functional.cross_entropy(logits_BC, labels_B, label_smoothing=smoothing))


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Documents whose confidence lies between ``low`` and ``high``: how many, and their means."""

    low: float
    high: float
    documents: int
    confidence: float
    accuracy: float


def reliability(probabilities_BC: Tensor, labels_B: Tensor) -> list[ConfidenceBin]:
    """Confidence beside accuracy over 15 equal bins of confidence; empty ones are left out."""
    confidences_B, choices_B = probabilities_BC.double().max(dim=1)
    right_B = (choices_B == labels_B).double()
    bins_B = (confidences_B * BINS).long().clamp(max=BINS - 1)
    return [
        ConfidenceBin(
            low=place / BINS,
            high=(place + 1) / BINS,
            documents=int(inside_B.sum()),
            confidence=float(confidences_B[inside_B].mean()),
            accuracy=float(right_B[inside_B].mean()),
        )
        for place in range(BINS)
        if (inside_B := bins_B == place).any()
    ]


def expected_calibration_error(probabilities_BC: Tensor, labels_B: Tensor) -> float:
    """The mean gap between confidence and accuracy over the bins of :func:`reliability`."""
    bins = reliability(probabilities_BC, labels_B)
    gaps = (part.documents * abs(part.accuracy - part.confidence) for part in bins)
    return sum(gaps) / len(labels_B)
