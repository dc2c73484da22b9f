"""Temperature scaling and calibration error of a classifier.

One number divides all logits, so that the confidence of the chosen label agrees with how often that
label is right (Guo et al., "On Calibration of Modern Neural Networks", 2017). The chosen labels do
not change. Targets are smoothed as in Platt (1999): otherwise a validation split without errors
would lead to a confidence of 1.

Neither SciPy nor scikit-learn has the expected calibration error. The search for the temperature
stays here, because published artifacts hold its results to the last bit. Shapes: B documents,
C labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

TEMPERATURE_RANGE = (0.05, 20.0)
BINS = 15
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
LOG_TEMPERATURE_TOLERANCE = 1e-4


def fit_temperature(logits_BC: Tensor, labels_B: Tensor) -> float:
    """The temperature with the lowest cross-entropy on labeled documents.

    For a multi-label classifier, the cross-entropy is the sum over the labels.

    The loss is convex in 1/temperature, so a golden-section search finds its only minimum.

    Args:
        logits_BC: of a validation split.
        labels_B: indices of the true labels, or 0 or 1 for each label (B, C).

    Returns:
        A temperature within ``TEMPERATURE_RANGE``.
    """
    logits_BC = logits_BC.double()
    error_rate = 1.0 / (len(labels_B) + 2)

    def loss(log_temperature: float) -> float:
        return _smoothed_loss(logits_BC / math.exp(log_temperature), labels_B, error_rate)

    low, high = (math.log(bound) for bound in TEMPERATURE_RANGE)
    while high - low > LOG_TEMPERATURE_TOLERANCE:
        left, right = high - GOLDEN_RATIO * (high - low), low + GOLDEN_RATIO * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def temperature_loss(logits_BC: Tensor, labels_B: Tensor) -> float:
    """The mean cross-entropy in nats, with the logits scaled by their best temperature."""
    return mean_loss(logits_BC / fit_temperature(logits_BC, labels_B), labels_B)


def mean_loss(logits_BC: Tensor, labels_B: Tensor) -> float:
    """The mean cross-entropy in nats of indices (B,), or of 0 or 1 for each label (B, C)."""
    if labels_B.dim() == 1:
        return float(functional.cross_entropy(logits_BC, labels_B))
    losses_BC = functional.binary_cross_entropy_with_logits(
        logits_BC, labels_B.to(logits_BC.dtype), reduction="none"
    )
    return float(losses_BC.sum(dim=1).mean())


def _smoothed_loss(logits_BC: Tensor, labels_B: Tensor, error_rate: float) -> float:
    """Cross-entropy with targets that are wrong with probability ``error_rate``."""
    if labels_B.dim() == 2:
        return mean_loss(logits_BC, labels_B * (1.0 - 2.0 * error_rate) + error_rate)
    labels = logits_BC.shape[1]
    # torch spreads label smoothing over all labels, the true one included.
    smoothing = error_rate * labels / (labels - 1)
    return float(functional.cross_entropy(logits_BC, labels_B, label_smoothing=smoothing))


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Number of documents with a confidence from ``low`` to ``high``, and their means."""

    low: float
    high: float
    documents: int
    confidence: float
    accuracy: float


def reliability_bins(probabilities_BC: Tensor, labels_B: Tensor) -> list[ConfidenceBin]:
    """Confidence and accuracy in 15 confidence bins of equal width; empty bins are left out."""
    confidences_B, predicted_B = probabilities_BC.double().max(dim=1)
    correct_B = (predicted_B == labels_B).double()
    bins_B = (confidences_B * BINS).long().clamp(max=BINS - 1)
    return [
        ConfidenceBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            documents=int(in_bin_B.sum()),
            confidence=float(confidences_B[in_bin_B].mean()),
            accuracy=float(correct_B[in_bin_B].mean()),
        )
        for index in range(BINS)
        if (in_bin_B := bins_B == index).any()
    ]


def expected_calibration_error(probabilities_BC: Tensor, labels_B: Tensor) -> float:
    """The mean gap between confidence and accuracy over the bins, weighted by documents."""
    bins = reliability_bins(probabilities_BC, labels_B)
    gaps = (bin_.documents * abs(bin_.accuracy - bin_.confidence) for bin_ in bins)
    return sum(gaps) / len(labels_B)
