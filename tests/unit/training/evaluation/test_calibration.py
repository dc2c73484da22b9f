"""Temperature scaling and calibration error."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.nn import functional

from training.evaluation.calibration import (
    BINS,
    TEMPERATURE_RANGE,
    expected_calibration_error,
    fit_temperature,
)


def drawn_labels(logits_BC: torch.Tensor) -> torch.Tensor:
    """Labels sampled from the softmax of the logits."""
    generator = torch.Generator().manual_seed(3)
    return torch.multinomial(logits_BC.softmax(dim=1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("hidden", [0.3, 1.0, 2.5])
def test_the_hidden_temperature_is_found(hidden: float) -> None:
    """The temperature is the factor that the logits were multiplied by."""
    logits_BC = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(1)) * 2
    labels_B = drawn_labels(logits_BC)
    temperature = fit_temperature(logits_BC * hidden, labels_B)
    assert temperature == pytest.approx(hidden, rel=0.04)
    before = expected_calibration_error((logits_BC * hidden).softmax(dim=1), labels_B)
    after = expected_calibration_error((logits_BC * hidden / temperature).softmax(dim=1), labels_B)
    assert after < 0.015
    assert after <= before + 0.002


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_temperature_is_that_of_scipy(scale: float) -> None:
    """A bounded minimization of the cross-entropy with Platt's targets finds the same one."""
    logits_BC = (torch.randn(500, 3, generator=torch.Generator().manual_seed(1)) * 2).double()
    labels_B = drawn_labels(logits_BC)
    error_rate = 1.0 / (len(labels_B) + 2)
    targets_BC = torch.full_like(logits_BC, error_rate / 2)
    targets_BC.scatter_(1, labels_B.unsqueeze(1), 1 - error_rate)

    def loss(log_temperature: float) -> float:
        scaled_BC = scale * logits_BC / math.exp(log_temperature)
        return float(functional.cross_entropy(scaled_BC, targets_BC))

    bounds = [math.log(bound) for bound in TEMPERATURE_RANGE]
    minimum = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-8})
    assert math.log(fit_temperature(scale * logits_BC, labels_B)) == pytest.approx(
        minimum.x, abs=1e-4
    )


def test_a_split_without_errors_does_not_lead_to_certainty() -> None:
    """The confidence stays below 1 on ten documents without an error."""
    logits_BC = torch.eye(2).repeat(5, 1) * 4
    labels_B = torch.tensor([0, 1] * 5)
    temperature = fit_temperature(logits_BC, labels_B)
    confidence = float((logits_BC / temperature).softmax(dim=1).max())
    assert 0.85 < confidence < 0.95


def test_calibration_error_by_hand() -> None:
    """Four documents in two bins have gaps of 0.4 and 0.1, weighted by their documents."""
    confidences = [0.9, 0.9, 0.6, 0.6]
    probabilities_BC = torch.tensor([[c, 1 - c] for c in confidences])
    labels_B = torch.tensor([0, 1, 0, 1])
    assert expected_calibration_error(probabilities_BC, labels_B) == pytest.approx(
        (2 * 0.4 + 2 * 0.1) / 4
    )


@given(st.integers(1, 50), st.integers(2, 6), st.integers(0, 2**31))
def test_calibration_error_lies_between_0_and_1(count: int, labels: int, seed: int) -> None:
    """The error is 0 if all are certain and right, and 1 if all are certain and wrong."""
    generator = torch.Generator().manual_seed(seed)
    probabilities_BC = torch.randn(count, labels, generator=generator).softmax(dim=1)
    labels_B = torch.randint(0, labels, (count,), generator=generator)
    assert 0.0 <= expected_calibration_error(probabilities_BC, labels_B) <= 1.0
    certain_BC = torch.nn.functional.one_hot(labels_B, labels).double()
    assert expected_calibration_error(certain_BC, labels_B) == 0.0
    assert expected_calibration_error(certain_BC.roll(1, dims=1), labels_B) == 1.0
    assert BINS == 15
