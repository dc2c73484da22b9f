"""The table of input products: its numbers, the order of its sums, and its layout."""

from __future__ import annotations

import numpy as np
import pytest

from service.kernel.api.interface import FloatArray
from service.kernel.native.input_table import block_inputs, input_table
from service.kernel.native.library import instruction_set


def random(shape: tuple[int, ...], seed: int = 0) -> FloatArray:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def sums(embedding_VI: FloatArray, weight_OI: FloatArray, bias_O: FloatArray) -> FloatArray:
    """The documented order: the bias, plus each block, whose products are added one by one with
    one rounding each. float64 holds a product of float32 exactly.
    """
    table_VO = np.broadcast_to(bias_O, (len(embedding_VI), len(bias_O))).copy()
    size = block_inputs(weight_OI.shape[1])
    for begin in range(0, weight_OI.shape[1], size):
        block_VO = np.zeros_like(table_VO)
        for index in range(begin, min(begin + size, weight_OI.shape[1])):
            products = np.outer(embedding_VI[:, index].astype(np.float64), weight_OI[:, index])
            block_VO = (block_VO + products).astype(np.float32)
        table_VO = table_VO + block_VO
    return table_VO


@pytest.mark.parametrize("gates", [1, 3, 4])
@pytest.mark.parametrize("units", [5, 16, 40])
@pytest.mark.parametrize("inputs", [1, 16, 50, 191, 193, 257, 400])
def test_a_row_has_the_products_in_the_order_of_the_gates(
    gates: int, units: int, inputs: int
) -> None:
    """Every number, to the bit where the processor fuses; padded units have zeros."""
    embedding, weight = random((101, inputs)), random((gates * units, inputs), 1)
    bias = random((gates * units,), 2)
    table = input_table(embedding, weight, bias, gates, threads=1)
    groups = -(-units // 16)
    assert table.shape == (101, groups * gates * 16)
    by_gate = table.reshape(101, groups, gates, 16).swapaxes(1, 2).reshape(101, gates, -1)
    found = by_gate[:, :, :units].reshape(101, -1)
    assert not by_gate[:, :, units:].any()
    if instruction_set() == "plain":
        np.testing.assert_allclose(found, embedding @ weight.T + bias, rtol=1e-4, atol=1e-4)
    else:
        assert np.array_equal(found, sums(embedding, weight, bias))


@pytest.mark.parametrize("tokens", [1, 2, 7, 95, 96, 97, 500])
def test_the_number_of_threads_changes_no_bit(tokens: int) -> None:
    """More threads than tokens, too."""
    arguments = random((tokens, 30)), random((4 * 20, 30), 1), random((4 * 20,), 2), 4
    expected = input_table(*arguments, threads=1)
    for threads in (2, 3, 16):
        assert np.array_equal(input_table(*arguments, threads=threads), expected)
