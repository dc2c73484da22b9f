"""Correlation and separation of units, beside numpy's and scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import mannwhitneyu, rankdata

from model.units.unit_search import average_ranks, score_units

VALUES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(2, 12), st.integers(1, 4)),
    elements=st.integers(-3, 3).map(float),
)


@given(VALUES)
def test_ranks_are_scipys(values_TU: np.ndarray) -> None:
    """Ties share the mean of their ranks."""
    np.testing.assert_array_equal(average_ranks(values_TU), rankdata(values_TU, axis=0))


@given(VALUES, st.data())
def test_scores_are_numpys_and_scipys(values_TU: np.ndarray, data: st.DataObject) -> None:
    """Pearson's r, and Mann and Whitney's U over the number of pairs, for a marking of 0 and 1."""
    steps = len(values_TU)
    marking = data.draw(
        st.lists(st.integers(0, 1), min_size=steps, max_size=steps).filter(lambda m: len({*m}) == 2)
    )
    marking_T = np.array(marking, dtype=np.float64)
    scores = score_units(values_TU, marking_T)
    for unit, values_T in enumerate(values_TU.T):
        moves = len(set(values_T.tolist())) > 1
        expected = np.corrcoef(values_T, marking_T)[0, 1] if moves else 0.0
        assert scores.correlation_U[unit] == pytest.approx(expected, abs=1e-6)
        u = mannwhitneyu(values_T[marking_T == 1], values_T[marking_T == 0]).statistic
        pairs = marking_T.sum() * (steps - marking_T.sum())
        assert scores.separation_U[unit] == pytest.approx(u / pairs)


def test_a_marking_without_a_difference_is_refused() -> None:
    """Nothing can follow it."""
    with pytest.raises(ValueError, match="the same at every token"):
        score_units(np.ones((3, 2), dtype=np.float32), np.zeros(3))
