"""The counter hash: exactly as documented, uniform, and different for every key."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from service.kernel.pytorch.counter_rng import keys, uniforms
from tests.support.service.reference import naive_key, naive_uniform

unsigned_64 = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(seed=unsigned_64, choice=st.integers(0, 127), position=st.integers(0, 2**40))
def test_keys_are_as_documented(seed: int, choice: int, position: int) -> None:
    """The vectorized key equals the one computed with Python's integers."""
    assert int(keys([seed], [choice], [position])[0]) == naive_key(seed, choice, position)


@settings(deadline=None)
@given(key=unsigned_64, token=st.integers(0, 2**24))
def test_uniforms_are_as_documented(key: int, token: int) -> None:
    """The vectorized number equals the one computed with Python's integers, to the bit."""
    uniform = uniforms(np.array([key], np.uint64), np.array([token], np.uint32))[0, 0]
    assert min(float(uniform), 1.0 - 2.0**-33) == naive_uniform(key, token)


def test_uniforms_are_uniform_and_never_zero() -> None:
    """A chi-square test over 256 cells sees nothing in a million numbers of neighboring keys."""
    positions = list(range(1000))
    values = uniforms(
        keys([7] * 1000, [0] * 1000, positions), np.arange(1000, dtype=np.uint32)
    ).ravel()
    counts, _ = np.histogram(values, bins=256, range=(0.0, 1.0))
    assert stats.chisquare(counts).pvalue > 1e-4
    assert values.min() > 0.0


def test_small_numbers_are_as_fine_as_their_size() -> None:
    """Numbers near 0 decide races, so they must not be on a coarse grid."""
    values = uniforms(
        keys([1] * 400, [0] * 400, list(range(400))), np.arange(10_000, dtype=np.uint32)
    )
    small = np.unique(values[values < 2.0**-16])
    assert len(small) > 50
    assert np.diff(small).min() < 2.0**-25


def test_every_part_of_the_key_matters() -> None:
    """A change of seed, choice, position or token gives independent numbers."""
    tokens = np.arange(5000, dtype=np.uint32)
    rows = uniforms(keys([1, 2, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1]), tokens)
    correlations = np.corrcoef(rows)
    assert np.abs(correlations - np.eye(4)).max() < 0.06
    assert abs(np.corrcoef(rows[0, :-1], rows[0, 1:])[0, 1]) < 0.06
