"""Metrics of sets of labels, by hand."""

import numpy as np
import pytest
import torch

from model.calibration import Calibration
from training.evaluation.multi_label.predictions import (
    LabelSetPredictions,
    guessing_micro_f1,
    step_micro_f1,
)

TRUTH_BC = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]])
LOGITS_BC = torch.tensor([[2.0, -2, -2], [2, -2, -2], [-2, -2, -2], [2, 2, -2]])
PREDICTIONS = LabelSetPredictions(LOGITS_BC, TRUTH_BC)
HALVES = Calibration(1.0, thresholds=(0.5, 0.5, 0.5))


def test_metrics_by_hand() -> None:
    """Of four true labels three are given, with one too many; two of four sets are right."""
    figures = PREDICTIONS.figures(HALVES)
    assert figures["micro_f1"] == pytest.approx(2 * 3 / (4 + 4))
    # The third label is never true and never given, so it does not count.
    assert figures["macro_f1"] == pytest.approx((2 * 2 / (2 + 3) + 2 * 1 / (2 + 1)) / 2)
    assert figures["subset_accuracy"] == 0.5
    right, wrong = np.log1p(np.exp(-2)), np.log1p(np.exp(2))
    assert figures["loss"] == pytest.approx((10 * right + 2 * wrong) / 4)
    assert float(step_micro_f1(LOGITS_BC, TRUTH_BC)) == pytest.approx(figures["micro_f1"])


def test_each_label_has_its_own_threshold() -> None:
    """A threshold above the probability of 2 takes the label from every document."""
    given_BC = PREDICTIONS.given(Calibration(1.0, thresholds=(0.9, 0.5, 0.01)))
    assert given_BC.sum(axis=0).tolist() == [0, 1, 4]


def test_a_fit_is_no_worse_than_halves() -> None:
    """The fitted thresholds and temperature belong to the labels; micro F1 does not fall."""
    random = torch.Generator().manual_seed(1)
    truth_BC = (torch.rand(300, 3, generator=random) < torch.tensor([0.1, 0.3, 0.5])).float()
    logits_BC = 2 * truth_BC - 3 + torch.randn(300, 3, generator=random)
    predictions = LabelSetPredictions(logits_BC, truth_BC)
    fitted = predictions.fit()
    assert fitted.thresholds is not None
    assert len(fitted.thresholds) == 3
    assert predictions.figures(fitted)["macro_f1"] > predictions.figures(HALVES)["macro_f1"] + 0.1


def test_the_best_guess_gives_the_frequent_labels() -> None:
    """For labels that 3, 1 and 0 of 4 documents have, the first one alone."""
    truth_BC = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]], dtype=bool)
    assert guessing_micro_f1(truth_BC) == pytest.approx(2 * 3 / (4 + 4))
