"""Thresholds chosen on validation data, compared with a search over all of them."""

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from training.evaluation.multi_label.thresholds import (
    MIN_POSITIVES,
    USUAL_THRESHOLD,
    best_threshold,
    choose_thresholds,
    rare_labels,
)

# Few different values, so that probabilities tie.
PROBABILITIES = arrays(np.float64, 14, elements=st.sampled_from([0, 1e-9, 0.2, 0.4, 0.5, 0.7, 1]))
TRUTHS = arrays(np.bool_, 14)


def f1(probability_P: np.ndarray, truth_P: np.ndarray, threshold: float) -> float:
    """F1 of the decisions at a threshold."""
    given_P = probability_P >= threshold
    return float(2 * (given_P & truth_P).sum() / max(1, given_P.sum() + truth_P.sum()))


@given(PROBABILITIES, TRUTHS)
def test_no_threshold_has_a_higher_f1(probability_P: np.ndarray, truth_P: np.ndarray) -> None:
    """The chosen one is as good as the best at any probability that occurs, within (0, 1]."""
    threshold = best_threshold(probability_P, truth_P)
    assert 0.0 < threshold <= 1.0
    if not truth_P.any():
        assert threshold == USUAL_THRESHOLD
        return
    positive_P = probability_P[probability_P > 0]
    best = max((f1(probability_P, truth_P, value) for value in positive_P), default=0.0)
    assert f1(probability_P, truth_P, threshold) >= best


@given(PROBABILITIES, TRUTHS, st.randoms())
def test_the_order_of_documents_does_not_matter(
    probability_P: np.ndarray, truth_P: np.ndarray, chance: random.Random
) -> None:
    """Shuffled documents give the same threshold."""
    order = list(range(len(truth_P)))
    chance.shuffle(order)
    shuffled = best_threshold(probability_P[order], truth_P[order])
    assert shuffled == best_threshold(probability_P, truth_P)


def test_separated_labels_are_cut_between() -> None:
    """Away from 0.5 the threshold is the middle of the gap, else 0.5 itself."""
    truth_P = np.array([True, True, False, False])
    assert best_threshold(np.array([0.2, 0.3, 0.1, 0.0]), truth_P) == np.mean([0.1, 0.2])
    assert best_threshold(np.array([0.9, 0.6, 0.4, 0.0]), truth_P) == 0.5


def test_rare_labels_have_the_common_threshold() -> None:
    """A label with too few documents is cut where all labels together are best."""
    chance = np.random.default_rng(0)
    truth_BC = chance.random((200, 3)) < [0.5, 0.3, 0.0]
    truth_BC[: MIN_POSITIVES - 1, 2] = True
    probability_BC = np.clip(0.3 * truth_BC + 0.6 * chance.random((200, 3)), 0, 1)
    chosen = choose_thresholds(probability_BC, truth_BC)
    assert rare_labels(truth_BC) == [2]
    assert chosen[2] == best_threshold(probability_BC.ravel(), truth_BC.ravel())
    assert chosen[0] == best_threshold(probability_BC[:, 0], truth_BC[:, 0])
