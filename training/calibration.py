"""Temperature scaling: confidence that means what it says.

One number divides all logits, so that the confidence of the chosen label agrees with how often it
is right (Guo et al., "On Calibration of Modern Neural Networks", 2017). It changes no decision.
Targets are smoothed as in Platt (1999), or a validation split without a mistake would ask for
certainty.

Does not know networks or artifacts. Shapes: B documents, C labels.
"""

from __future__ import annotations

import math

import torch
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


def _smoothed_loss(logits_BC: Tensor, labels_B: Tensor, mistakes: float) -> float:
    """Cross-entropy where each label is believed wrong with a small probability."""
    labels = logits_BC.shape[1]
    # torch spreads its smoothing over all labels, the right one included.
    smoothing = mistakes * labels / (labels - 1)
    return float(functional.cross_entropy(logits_BC, labels_B, label_smoothing=smoothing))


def expected_calibration_error(probabilities_BC: Tensor, labels_B: Tensor) -> float:
    """The mean gap between confidence and accuracy over 15 equal bins of confidence, 0 to 1."""
    confidences_B, choices_B = probabilities_BC.double().max(dim=1)
    gaps_B = (choices_B == labels_B).double() - confidences_B
    bins_B = (confidences_B * BINS).long().clamp(max=BINS - 1)
    sums = torch.zeros(BINS, dtype=torch.double).index_add_(0, bins_B, gaps_B)
    return float(sums.abs().sum() / len(labels_B))
