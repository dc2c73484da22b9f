"""Statistics of the detection of texts out of scope, compared with SciPy."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import mannwhitneyu

from training.evaluation.out_of_scope import L2_PENALTY, auroc, logistic_regression


@pytest.mark.parametrize("decimals", [1, 9])
def test_the_auroc_is_that_of_the_mann_whitney_test(decimals: int) -> None:
    """The area is U / (positives × negatives), with and without ties."""
    generator = np.random.default_rng(1)
    positive_B = generator.random(500) < 0.3
    scores_B = (generator.normal(size=500) + positive_B).round(decimals)
    u = mannwhitneyu(scores_B[positive_B], scores_B[~positive_B]).statistic
    expected = u / (positive_B.sum() * (~positive_B).sum())
    assert auroc(scores_B, positive_B) == pytest.approx(expected, abs=1e-12)


def test_the_logistic_regression_minimizes_its_loss() -> None:
    """SciPy finds the same coefficients for weighted cross-entropy with an L2 penalty."""
    generator = np.random.default_rng(1)
    features_BF = np.stack([np.ones(400), generator.normal(size=400)], axis=1)
    truth_B = features_BF[:, 1] + generator.normal(size=400) > 1
    weights_B = generator.random(400)
    weights_B /= weights_B.sum()

    def loss(coefficients_F: np.ndarray) -> float:
        signed_B = (features_BF @ coefficients_F) * np.where(truth_B, 1, -1)
        penalty = L2_PENALTY / 2 * coefficients_F @ coefficients_F
        return float(-weights_B @ np.log(expit(signed_B)) + penalty)

    expected = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x
    coefficients_F = logistic_regression(features_BF, truth_B, weights_B)
    assert coefficients_F == pytest.approx(expected, abs=1e-6)


def test_separated_classes_have_finite_coefficients() -> None:
    """The penalty bounds the slope."""
    features_BF = np.stack([np.ones(4), np.array([-2.0, -1.0, 1.0, 2.0])], axis=1)
    truth_B = np.array([False, False, True, True])
    bias, slope = logistic_regression(features_BF, truth_B, np.full(4, 0.25))
    assert bias == pytest.approx(0.0, abs=1e-9)
    assert 1.0 < slope < 100.0
