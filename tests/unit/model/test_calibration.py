"""Calibrated probabilities, with out of scope as an answer."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from model.architecture import ClassifierArchitecture
from model.calibration import Calibration, OutOfScope, confidence_log_odds, log_probabilities
from model.errors import ManifestError
from model.manifest import Manifest

SHAPE = ClassifierArchitecture(
    cell="gru", vocabulary=9, embedding=3, hidden=4, layers=1, mlp=5, labels=2
)
LOGITS = arrays(np.float32, (4, 3), elements=st.floats(-80, 80, width=32))


def manifest(calibration: Calibration | None) -> Manifest:
    """A manifest of a classifier of two labels."""
    return Manifest(
        name="x", version="1", architecture=SHAPE, labels=("a", "b"), calibration=calibration
    )


@given(LOGITS, st.floats(0.1, 9), st.floats(-5, 5), st.floats(-50, 50))
def test_probabilities_sum_to_one(
    logits_BC: np.ndarray, temperature: float, weight: float, bias: float
) -> None:
    """Probabilities sum to 1 with out of scope as the last; the labels keep their ratios."""
    plain_BC = log_probabilities(logits_BC, Calibration(temperature))
    beyond = OutOfScope("none", weight, bias)
    answers_BA = log_probabilities(logits_BC, Calibration(temperature, beyond))
    assert answers_BA.shape == (4, 4)
    np.testing.assert_allclose(np.exp(plain_BC).sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(answers_BA).sum(axis=1), 1)
    differences_BC = answers_BA[:, :3] - plain_BC
    np.testing.assert_allclose(differences_BC, differences_BC[:, :1] + np.zeros(3), atol=1e-9)


def test_the_probability_of_out_of_scope() -> None:
    """Odds of 3 : 1 for the first of three labels give the expected probability."""
    logits_BC = np.log([[1.0, 6.0, 1.0]])
    assert confidence_log_odds(logits_BC)[0] == pytest.approx(math.log(3))
    calibration = Calibration(1.0, OutOfScope("none", weight=0.5, bias=1.0))
    outside = 1 / (1 + math.exp(-(1 - 0.5 * math.log(3))))
    inside = 1 - outside
    probabilities_A = np.exp(log_probabilities(logits_BC, calibration)[0])
    np.testing.assert_allclose(probabilities_A, [inside / 8, inside * 6 / 8, inside / 8, outside])


def test_the_manifest_contains_the_calibration() -> None:
    """A calibration survives writing and reading; the answers are the labels and out of scope."""
    calibration = Calibration(1.5, OutOfScope("none", 0.25, -2.0))
    read = Manifest.from_json(manifest(calibration).to_json())
    assert read.calibration == calibration
    assert read.answers == ("a", "b", "none")
    plain = manifest(Calibration(1.5))
    assert "out_of_scope" not in plain.to_json()
    assert Manifest.from_json(plain.to_json()).answers == ("a", "b")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"weight": 0.25', '"weight": "much"', r"calibration\.out_of_scope\.weight: expected a nu"),
        ('"label": "none"', '"label": 7', "label: expected text, got 7"),
        ('"label": "none"', '"label": "a"', "expected each label once"),
    ],
)
def test_an_invalid_calibration_is_refused(old: str, new: str, message: str) -> None:
    """An invalid field of the calibration is named."""
    text = manifest(Calibration(1.5, OutOfScope("none", 0.25, -2.0))).to_json()
    assert old in text
    with pytest.raises(ManifestError, match=message):
        Manifest.from_json(text.replace(old, new))


@given(LOGITS, st.floats(0.1, 9))
def test_labels_of_a_multi_label_model_are_independent(
    logits_BC: np.ndarray, temperature: float
) -> None:
    """Each probability is the sigmoid of its own logit."""
    calibration = Calibration(temperature, thresholds=(0.5, 0.5, 0.5))
    logprobs_BC = log_probabilities(logits_BC, calibration)
    expected_BC = expit(logits_BC.astype(np.float64) / temperature)
    np.testing.assert_allclose(np.exp(logprobs_BC), expected_BC, rtol=1e-9)


def test_a_manifest_keeps_thresholds() -> None:
    """They are read as written, in a format that earlier releases refuse; others keep theirs."""
    written = manifest(Calibration(2.0, thresholds=(0.25, 1.0)))
    read = Manifest.from_json(written.to_json())
    assert read.thresholds == (0.25, 1.0)
    assert (read.format_version, manifest(Calibration(2.0)).format_version) == (2, 1)


@pytest.mark.parametrize("value", ["[0.5]", "[0.5, 0.0]", "[0.5, 1.5]", '[0.5, "x"]', "0.5"])
def test_wrong_thresholds_are_refused(value: str) -> None:
    """There is one number in (0, 1] for each label; the error names the field."""
    text = manifest(Calibration(2.0, thresholds=(0.25, 1.0))).to_json()
    start, end = text.index("[", text.index("thresholds")), text.index("]", text.index("thresho"))
    with pytest.raises(ManifestError, match=r"calibration\.thresholds"):
        Manifest.from_json(text[:start] + value + text[end + 1 :])
