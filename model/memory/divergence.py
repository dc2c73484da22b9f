"""Two networks that read the same tokens from different states: how far they are apart.

Shapes: ... any leading dimensions, H hidden, V vocabulary, S steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

SMALLEST_LENGTH = 1e-12  # of a state that a distance is divided by


def relative_distance(one_H: Tensor, other_H: Tensor) -> Tensor:
    """Euclidean distances (...) of states (..., H), relative to their mean length; 0 to 2."""
    length = (one_H.norm(dim=-1) + other_H.norm(dim=-1)) / 2
    distance: Tensor = (one_H - other_H).norm(dim=-1) / length.clamp(min=SMALLEST_LENGTH)
    return distance


def jensen_shannon(one_V: Tensor, other_V: Tensor) -> Tensor:
    """Divergences (...) of the predictions of logits (..., V), in bits; 0 to 1."""
    one_V, other_V = one_V.log_softmax(dim=-1), other_V.log_softmax(dim=-1)
    mean_V = torch.logaddexp(one_V, other_V) - math.log(2.0)
    total = torch.zeros(one_V.shape[:-1], dtype=one_V.dtype)
    for logprobs_V in (one_V, other_V):
        total += (logprobs_V.exp() * (logprobs_V - mean_V)).nan_to_num(0.0).sum(dim=-1)
    return total / 2 / math.log(2.0)


def half_life(values_S: Sequence[float]) -> int | None:
    """The first step from which on the values stay at or below half of the first one.

    None if they never do, or if the first one is 0. The page computes the same.

    >>> half_life([4, 3, 2, 3, 1, 1]), half_life([1, 0.9]), half_life([0, 0])
    (4, None, None)
    """
    if values_S[0] == 0:
        return None
    step = len(values_S)
    while step > 0 and values_S[step - 1] <= values_S[0] / 2:
        step -= 1
    return step if step < len(values_S) else None
