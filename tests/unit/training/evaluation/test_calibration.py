"""Temperature scaling: it finds the temperature that was hidden, and only confidence changes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.calibration import BINS, expected_calibration_error, fit_temperature


def drawn_labels(logits_BC: torch.Tensor) -> torch.Tensor:
    """Labels drawn from the probabilities that the logits stand for."""
    generator = torch.Generator().manual_seed(3)
    return torch.multinomial(logits_BC.softmax(dim=1), 1, generator=generator)[:, 0]


@pytest.mark.parametrize("hidden", [0.3, 1.0, 2.5])
def test_the_hidden_temperature_is_found(hidden: float) -> None:
    """Logits that are too sharp or too flat by a known factor are put right."""
    logits_BC = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(1)) * 2
    labels_B = drawn_labels(logits_BC)
    found = fit_temperature(logits_BC * hidden, labels_B)
    assert found == pytest.approx(hidden, rel=0.04)
    before = expected_calibration_error((logits_BC * hidden).softmax(dim=1), labels_B)
    after = expected_calibration_error((logits_BC * hidden / found).softmax(dim=1), labels_B)
    assert after < 0.015
    assert after <= before + 0.002


def test_a_split_without_a_mistake_asks_for_no_certainty() -> None:
    """Ten documents that are all right are no proof that the next one is."""
    logits_BC = torch.eye(2).repeat(5, 1) * 4
    labels_B = torch.tensor([0, 1] * 5)
    temperature = fit_temperature(logits_BC, labels_B)
    confidence = float((logits_BC / temperature).softmax(dim=1).max())
    assert 0.85 < confidence < 0.95


def test_calibration_error_by_hand() -> None:
    """Four documents in two bins: gaps of 0.4 and 0.1, weighed by their documents."""
    confidences = [0.9, 0.9, 0.6, 0.6]
    probabilities_BC = torch.tensor([[c, 1 - c] for c in confidences])
    labels_B = torch.tensor([0, 1, 0, 1])
    assert expected_calibration_error(probabilities_BC, labels_B) == pytest.approx(
        (2 * 0.4 + 2 * 0.1) / 4
    )


@given(st.integers(1, 50), st.integers(2, 6), st.integers(0, 2**31))
def test_calibration_error_lies_between_0_and_1(count: int, labels: int, seed: int) -> None:
    """Certain and right is 0, certain and wrong is 1, all else between."""
    generator = torch.Generator().manual_seed(seed)
    probabilities_BC = torch.randn(count, labels, generator=generator).softmax(dim=1)
    labels_B = torch.randint(0, labels, (count,), generator=generator)
    assert 0.0 <= expected_calibration_error(probabilities_BC, labels_B) <= 1.0
    certain_BC = torch.nn.functional.one_hot(labels_B, labels).double()
    assert expected_calibration_error(certain_BC, labels_B) == 0.0
    assert expected_calibration_error(certain_BC.roll(1, dims=1), labels_B) == 1.0
    assert BINS == 15
