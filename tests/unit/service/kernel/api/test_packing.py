"""Packed weights against a plain account of the format, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.kernel.api import packing
from service.kernel.api.interface import FloatArray
from service.kernel.api.packing import KernelPrecision

numbers = st.floats(-4, 4, width=32)
SIZES = [(1, 1), (15, 3), (16, 16), (32, 64), (33, 20), (70, 33)]


def random(shape: tuple[int, ...], seed: int = 0) -> FloatArray:
    """Normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("precision", ["int8", "float32"])
@pytest.mark.parametrize("gates", [1, 3, 4])
@pytest.mark.parametrize(("units", "inputs"), SIZES)
def test_weights_of_a_layer_are_where_the_format_says(
    precision: KernelPrecision, gates: int, units: int, inputs: int
) -> None:
    """Every weight, scale, offset and bias, as C++ reads the memory; padding is zero."""
    weight_OI, bias_O = random((gates * units, inputs)), random((gates * units,), 1)
    blocks = packing.gate_blocks(weight_OI, gates)
    packed = packing.pack(blocks, packing.gate_blocks(bias_O, gates), precision)
    assert (packed.groups, packed.gates) == (-(-units // 16), gates)
    assert packed.inputs == -(-inputs // 16) * 16
    weights, scales, offsets, biases = map(memory, packed[:4])
    for group in range(packed.groups):
        for gate in range(gates):
            for lane in range(16):
                unit, output = group * 16 + lane, (group * gates + gate) * 16 + lane
                row = np.zeros(packed.inputs, np.float32)
                if unit < units:
                    row[:inputs] = weight_OI[gate * units + unit]
                bias = bias_O[gate * units + unit] if unit < units else 0
                assert biases[output] == bias
                if precision == "float32":
                    first = group * packed.inputs * gates * 16 + gate * 16 + lane
                    own = weights[first :: gates * 16][: packed.inputs]
                    assert np.array_equal(own, row)
                    continue
                scale, whole = quantized(row)
                assert scales[output] == scale
                assert offsets[output] == 128 * whole.sum()
                quads = weights.reshape(packed.groups, -1, gates, 16, 4)[group, :, gate, lane]
                assert np.array_equal(quads.reshape(-1), whole)


def memory(array: np.ndarray) -> np.ndarray:
    """The numbers in the order in which they lie in memory."""
    assert array.flags.c_contiguous
    return array.reshape(-1)


def quantized(row: FloatArray) -> tuple[np.float32, np.ndarray]:
    """The scale of a row and its weights in units of it; half a unit goes to the even side."""
    scale = np.float32(np.abs(row).max()) / np.float32(127)
    scale = scale if scale > 0 else np.float32(1)
    return scale, np.array([round(float(value / scale)) for value in row])


@settings(deadline=None, max_examples=50)
@given(values_VI=arrays(np.float32, (5, 19), elements=numbers))
def test_rows_of_an_embedding_have_a_scale_each(values_VI: FloatArray) -> None:
    """A byte times its row's scale is within half a unit of the number."""
    rows, scales = packing.quantized_rows(values_VI, "int8")
    assert (rows.dtype, scales.dtype) == (np.dtype("uint8"), np.dtype("float32"))
    assert (rows.shape, len(scales)) == ((5, 32), 5)
    restored = (rows.astype(np.float32) - 128) * scales[:, None]
    assert np.abs(restored[:, :19] - values_VI).max() <= scales.max() * 0.5001
    assert not restored[:, 19:].any()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["weight", "bias"])
def test_numbers_that_are_not_finite_are_refused(wrong: float, which: str) -> None:
    """One such weight or bias."""
    parts = {"weight": random((20, 7)), "bias": random((20,))}
    parts[which].reshape(-1)[5] = wrong
    weight, bias = (packing.linear_blocks(parts[name]) for name in ("weight", "bias"))
    with pytest.raises(ValueError, match="not finite"):
        packing.pack(weight, bias, "int8")


@pytest.mark.parametrize("size", [1e-45, 1e-38, 1e-30, 3e38])
def test_extreme_weights_stay_within_a_byte(size: float) -> None:
    """Neither underflow nor overflow of the scale: 127 units at most, and no warning."""
    blocks = packing.linear_blocks(np.full((3, 4), size, np.float32))
    packed = packing.pack(blocks, packing.linear_blocks(np.zeros(3, np.float32)), "int8")
    assert np.abs(packed.weights.astype(int)).max() in {0, 127}
    assert np.isfinite(packed.scales).all()
    assert (packed.scales > 0).all()


def test_activations_of_a_state_are_rounded_as_in_the_library() -> None:
    """Half a unit goes up, and the ends are 1 and 255."""
    values = np.array([-2, -1, -0.5, 0, 0.5 / 127, 1, 2], dtype=np.float32)
    found = packing.activations_of(values, 1 / 127, "int8")
    assert found.tolist() == [1, 1, 65, 128, 129, 255, 255]
    assert packing.activations_of(values, 1.0, "float32").tolist() == values.tolist()
