"""The changes of a row's distribution: penalties, logit bias, constraints, top_k, top_p, min_p.

Each function works on one row. Rows without a filter skip this module. Ties at a border go to the
lower token id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.interface import FloatArray, Sampling
from service.kernel.api.token_automaton import BoolArray

# Weights, relative to the largest, above which tokens are sorted for top_p; tried in this order.
NUCLEUS_THRESHOLDS = np.array([1e-2, 1e-4, 0.0], dtype=np.float32)
AnyFloatArray = NDArray[np.floating[Any]]
IdArray = NDArray[np.int64]


def adjust(
    logits_V: FloatArray, sampling: Sampling, seen: Collection[int], counts: Mapping[int, int]
) -> None:
    """Apply the penalties, then the bias, to the logits."""
    if sampling.repetition_penalty != 1.0 and seen:
        penalize(logits_V, seen, sampling.repetition_penalty)
    if sampling.counts_tokens and counts:
        ids_N = np.fromiter(counts.keys(), dtype=np.int64, count=len(counts))
        counts_N = np.fromiter(counts.values(), dtype=np.float32, count=len(counts))
        frequency = np.float32(sampling.frequency_penalty)
        logits_V[ids_N] -= np.float32(sampling.presence_penalty) + frequency * counts_N
    for token, bias in sampling.logit_bias:
        logits_V[token] += np.float32(bias)


def penalize(logits_V: FloatArray, seen: Collection[int], penalty: float) -> None:
    """Apply the repetition penalty of Keskar et al. (CTRL, 2019) to the logits of seen tokens, in
    index.

    Positive logits are divided by the penalty, negative ones multiplied by it. A penalty below 1
    makes seen tokens likelier.
    """
    ids_N = np.fromiter(seen, dtype=np.int64, count=len(seen))
    values_N = logits_V[ids_N]
    factor = np.float32(penalty)
    with np.errstate(over="ignore"):  # the caller refuses what is not finite
        logits_V[ids_N] = np.where(values_N > 0, values_N / factor, values_N * factor)


def restrict(logits_V: FloatArray, allowed_V: BoolArray) -> None:
    """Exclude the tokens that are not allowed."""
    logits_V[~allowed_V] = -np.inf


def is_filtered(sampling: Sampling, vocabulary: int) -> bool:
    """Whether top_k, top_p or min_p can remove a token."""
    return 0 < sampling.top_k < vocabulary or sampling.top_p < 1.0 or sampling.min_p > 0.0


def surviving_ids(weights_V: FloatArray, sampling: Sampling) -> IdArray:
    """The ids that pass top_k, then top_p, then min_p, rising; at least one.

    ``weights_V`` are probabilities up to a common factor: the largest is exactly 1, suppressed
    tokens are exactly 0.
    """
    ids_N = np.flatnonzero(weights_V)
    if 0 < sampling.top_k < len(ids_N):
        ids_N = ids_N[_largest(weights_V[ids_N], sampling.top_k)]
    if sampling.top_p < 1.0:
        ids_N = ids_N[_nucleus(weights_V[ids_N], sampling.top_p)]
    if sampling.min_p > 0.0:
        ids_N = ids_N[weights_V[ids_N] >= np.float32(min(sampling.min_p, 1.0))]
    return ids_N


def descending(values_N: AnyFloatArray, count: int) -> IdArray:
    """Indices of the ``count`` largest values, largest first, lower indices first on ties."""
    indices_K = _largest(values_N, count)
    return indices_K[np.argsort(-values_N[indices_K], kind="stable")]


def _largest(values_N: AnyFloatArray, count: int) -> IdArray:
    """Indices of the ``count`` largest values, rising; lower indices win ties."""
    if count >= len(values_N):
        return np.arange(len(values_N))
    return _from_border(values_N, np.partition(values_N, -count)[-count], count)


def _nucleus(weights_N: FloatArray, top_p: float) -> IdArray:
    """Indices, rising, of the fewest weights whose share of the sum reaches ``top_p``.

    Only the weights above a threshold are sorted. The threshold falls until their mass suffices.
    """
    needed = top_p * float(weights_N.sum(dtype=np.float64))
    for smallest in NUCLEUS_THRESHOLDS:
        indices = np.flatnonzero(weights_N >= smallest)
        falling = np.sort(weights_N[indices])[::-1]
        mass = np.cumsum(falling, dtype=np.float64)
        if mass[-1] >= needed:
            break
    kept = min(int(np.searchsorted(mass, needed)) + 1, len(indices))
    return indices[_from_border(weights_N[indices], falling[kept - 1], kept)]


def _from_border(values_N: AnyFloatArray, border: np.floating[Any], count: int) -> IdArray:
    """Indices of the values above ``border``, and of as many values equal to it as make up
    ``count``.
    """
    indices = np.flatnonzero(values_N >= border)
    if len(indices) == count:
        return indices
    values = values_N[indices]
    tied = indices[values == border]
    excess = len(indices) - count
    return np.setdiff1d(indices, tied[len(tied) - excess :], assume_unique=True)
