"""A chi-square test of sampled counts against probabilities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FEWEST = 5  # expected draws of a token that is looked at by itself


def check_fit(counts_V: NDArray[np.integer] | NDArray[np.floating], chances_V: list[float]) -> None:
    """The test finds no difference, and no impossible token was sampled. Rare tokens are pooled."""
    expected_V = np.array(chances_V) * counts_V.sum()
    assert counts_V[expected_V == 0].sum() == 0
    often = expected_V >= FEWEST
    observed = [*counts_V[often], counts_V[~often].sum()]
    merged = [*expected_V[often], expected_V[~often].sum()]
    if merged[-1] < FEWEST:
        observed, merged = observed[:-1], merged[:-1]
        merged = [value * sum(observed) / sum(merged) for value in merged]
    if len(observed) > 1:
        assert stats.chisquare(observed, merged).pvalue > 1e-4
