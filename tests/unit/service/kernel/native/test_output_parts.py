"""The parts of an output layer as arrays against those in torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from model.artifact import weights_of
from service.kernel.native.output_parts import output_arrays
from tests.support.service.reference import random_network
from tests.unit.service.kernel.native.test_kernel import HEADS


@pytest.mark.parametrize("head", HEADS)
def test_arrays_are_those_of_torch(head: str) -> None:
    """Head and tails of every kind of output layer."""
    options: dict[str, Any] = HEADS[head]
    network = random_network("gru", 1, **options)
    found, expected = output_arrays(weights_of(network)), network.output.parts()
    same(found.weight_JH, expected.weight_JH)
    same(found.bias_J, expected.bias_J)
    for own, other in zip(found.tails, expected.tails, strict=True):
        assert (own.begin, own.end) == (other.begin, other.end)
        same(own.narrow_DH, other.narrow_DH)
        same(own.weight_KD, other.weight_KD)
        same(own.bias_K, other.bias_K)


def same(array: np.ndarray | None, tensor: torch.Tensor | None) -> None:
    """Equal, or both missing."""
    if tensor is None:
        assert array is None
    else:
        assert np.array_equal(np.asarray(array), tensor.detach().numpy())
