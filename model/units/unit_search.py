"""Which units follow a marking of a text: ranked by correlation and by separation.

Karpathy, Johnson and Li ("Visualizing and Understanding Recurrent Networks", 2016) found such units
by looking; here every unit is compared with a marking at once.

Shapes: T tokens, U units.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Doubles = NDArray[np.float64]


class UnitScores(NamedTuple):
    """How closely each unit follows a marking.

    ``correlation_U``: Pearson's r, from -1 to 1; 0 for a unit that does not move.
    ``separation_U``: the probability that a unit is higher at a marked token than at an unmarked
    one (the area under the ROC curve, ties count half), from 0 to 1. A token is marked where the
    marking is above the middle of its range.
    """

    correlation_U: Doubles
    separation_U: Doubles


def score_units(
    values_TU: Values, marking_T: Doubles, ranks_TU: Doubles | None = None
) -> UnitScores:
    """Compares every unit with a marking.

    Args:
        values_TU: activations after each token.
        marking_T: the marking of each token.
        ranks_TU: their :func:`average_ranks`, for several markings of the same activations.

    Raises:
        ValueError: the marking has fewer than two different values, so nothing can follow it.
    """
    if marking_T.min() == marking_T.max():
        raise ValueError("the marking is the same at every token, so no unit can follow it")
    marked_T = marking_T > (marking_T.min() + marking_T.max()) / 2
    ranks_TU = average_ranks(values_TU) if ranks_TU is None else ranks_TU
    return UnitScores(correlations(values_TU, marking_T), _separation(ranks_TU, marked_T))


def correlations(values_TU: Values, marking_T: Doubles) -> Doubles:
    """Pearson's r of each unit with a marking; 0 for a unit that does not move."""
    values_TU = values_TU.astype(np.float64)
    values_TU = values_TU - values_TU.mean(axis=0)
    marking_T = marking_T - marking_T.mean()
    scale_U = np.sqrt((values_TU**2).sum(axis=0) * (marking_T**2).sum())
    moving_U = scale_U > 0
    product_U = marking_T @ values_TU
    return np.asarray(np.divide(product_U, scale_U, out=np.zeros_like(product_U), where=moving_U))


def _separation(ranks_TU: Doubles, marked_T: NDArray[np.bool_]) -> Doubles:
    """Mann and Whitney's U, divided by the number of pairs."""
    marked = int(marked_T.sum())
    rank_sum_U = ranks_TU[marked_T].sum(axis=0)
    pairs = marked * (len(marked_T) - marked)
    return np.asarray((rank_sum_U - marked * (marked + 1) / 2) / pairs)


def average_ranks(values_TU: Values) -> Doubles:
    """Ranks from 1 within each column; equal values share the mean of their ranks."""
    order_TU = values_TU.argsort(axis=0, kind="stable")
    sorted_TU = np.take_along_axis(values_TU, order_TU, axis=0)
    steps = np.arange(1, len(values_TU) + 1, dtype=np.float64)[:, None]
    new_TU = np.ones(values_TU.shape, dtype=bool)
    new_TU[1:] = sorted_TU[1:] != sorted_TU[:-1]
    first_TU = np.maximum.accumulate(np.where(new_TU, steps, 0.0), axis=0)
    last_TU = np.ones(values_TU.shape, dtype=bool)
    last_TU[:-1] = new_TU[1:]
    after_TU = np.where(last_TU, steps, np.inf)
    final_TU = np.minimum.accumulate(after_TU[::-1], axis=0)[::-1]
    ranks_TU = np.empty(values_TU.shape)
    np.put_along_axis(ranks_TU, order_TU, (first_TU + final_TU) / 2, axis=0)
    return ranks_TU
