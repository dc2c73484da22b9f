"""Weight packing for the native kernel. The C++ side only gets pointers to the packed arrays.

Outputs are stored in groups of gates times 16 (native/csrc/matrix.h has the order and the reason).
int8: one symmetric scale for each output; activations are bytes offset by 128. A recurrent state
lies in (-1, 1) unless the learned initial state exceeds it, so its scale is known in advance.

Shape suffixes: O outputs, I inputs, N groups, G gates, V vocabulary, U units padded to 16.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from service.kernel.api.aligned import aligned_copy
from service.kernel.api.interface import FloatArray

KernelPrecision = Literal["int8", "float32"]
LANES = 16
LINEAR_GATES = 4
INT8_MAX = 127  # largest magnitude of a quantized weight
# Smaller weights count as zero: a 127th of them would lose its precision.
LEAST_BOUND = INT8_MAX * np.finfo(np.float32).tiny
ACTIVATION_OFFSET = 128  # added to an activation to make it an unsigned byte


class PackedMatrix(NamedTuple):
    """Weights in the native order, with scales, offsets and biases of each output.

    float32 weights have neither scales nor offsets: both are empty.
    """

    weights: NDArray[Any]
    scales: FloatArray
    offsets: NDArray[np.int32]
    biases: FloatArray
    groups: int
    gates: int
    inputs: int


def padded(count: int, multiple: int = LANES) -> int:
    """``count`` rounded up to a multiple."""
    return -(-count // multiple) * multiple


def padded_row(values: FloatArray) -> FloatArray:
    """The last axis padded with zeros to a multiple of 16, contiguous."""
    return np.ascontiguousarray(_with_zeros(values, padded(values.shape[-1]), axis=-1))


def padded_parts(weight_OI: FloatArray, parts: int) -> FloatArray:
    """Input weights whose inputs come in equal parts, with each part padded separately."""
    return np.concatenate([padded_row(part) for part in np.split(weight_OI, parts, axis=1)], axis=1)


def gate_blocks(values: FloatArray, gates: int) -> FloatArray:
    """(gates * units, ...) in torch's order to (groups, gates, 16, ...), padded with zeros."""
    units = values.shape[0] // gates
    split = _with_zeros(values.reshape(gates, units, -1), padded(units), axis=1)
    return split.reshape(gates, -1, LANES, split.shape[2]).swapaxes(0, 1)


def linear_blocks(values: FloatArray) -> FloatArray:
    """(outputs, ...) to (groups, 4, 16, ...), padded with zeros."""
    flat = values.reshape(values.shape[0], -1)
    flat = _with_zeros(flat, padded(len(flat), LANES * LINEAR_GATES), axis=0)
    return flat.reshape(-1, LINEAR_GATES, LANES, flat.shape[1])


def pack(
    weight_NGOI: FloatArray, bias_NGO1: FloatArray, precision: KernelPrecision
) -> PackedMatrix:
    """Pack blocks of :func:`gate_blocks` or :func:`linear_blocks`; inputs are padded to a multiple
    of 16.

    Raises ValueError if a weight or bias is not finite.
    """
    if not (_is_finite(weight_NGOI) and _is_finite(bias_NGO1)):
        raise ValueError("the network has weights that are not finite numbers")
    groups, gates, _, inputs = weight_NGOI.shape
    width = padded(inputs)
    weight_NGOI = _with_zeros(weight_NGOI, width, axis=3)
    biases = aligned_copy(bias_NGO1)
    if precision == "float32":
        none = np.empty(0, dtype=np.float32)
        packed = aligned_copy(weight_NGOI.transpose(0, 3, 1, 2))
        return PackedMatrix(packed, none, none.astype(np.int32), biases, groups, gates, width)
    # Without this, NumPy would give the results the order in memory of torch's weights.
    weight_NGOI = np.ascontiguousarray(weight_NGOI)
    scales = _scales(weight_NGOI)
    whole = weight_NGOI / scales
    whole = np.rint(whole, out=whole).astype(np.int8)
    offsets = whole.sum(axis=3, dtype=np.int32) * np.int32(ACTIVATION_OFFSET)
    quads = whole.view(np.int32)  # four weights, which stay together
    packed = aligned_copy(quads.transpose(0, 3, 1, 2)).view(np.int8)
    return PackedMatrix(
        packed, aligned_copy(scales), aligned_copy(offsets), biases, groups, gates, width
    )


def state_scale(first_LH: FloatArray, precision: KernelPrecision) -> float:
    """The scale of one unit of a state's activation. States stay within 1 or the largest initial
    value.
    """
    if precision == "float32":
        return 1.0
    return max(1.0, float(np.abs(first_LH).max())) / INT8_MAX


def activations_of(values: FloatArray, scale: float, precision: KernelPrecision) -> NDArray[Any]:
    """The bytes (or floats) that represent ``values``, with the same arithmetic as in C++."""
    if precision == "float32":
        return values.copy()
    inverse = np.float32(1) / np.float32(scale)
    shifted = values * inverse + np.float32(ACTIVATION_OFFSET + 0.5)
    return shifted.clip(1, 255).astype(np.uint8)


def quantized_rows(
    values_VI: FloatArray, precision: KernelPrecision
) -> tuple[NDArray[Any], FloatArray]:
    """Activations (V, inputs padded) with one scale for each row, for an embedding."""
    rows = padded_row(values_VI)
    if precision == "float32":
        return rows, np.ones(len(rows), dtype=np.float32)
    scales_V1 = _scales(rows)
    whole = np.rint(rows / scales_V1) + np.float32(ACTIVATION_OFFSET)
    return whole.astype(np.uint8), scales_V1[:, 0].copy()


def _scales(values: FloatArray) -> FloatArray:
    """For each row of the last axis, the value of one unit: the largest magnitude is 127 units."""
    largest = values.max(axis=-1, keepdims=True)
    bound = np.maximum(largest, -values.min(axis=-1, keepdims=True))
    return np.where(bound > LEAST_BOUND, bound / np.float32(INT8_MAX), np.float32(1))


def _is_finite(values: FloatArray) -> bool:
    with np.errstate(invalid="ignore"):  # not a number, if any value is not
        return bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def _with_zeros(values: FloatArray, size: int, *, axis: int) -> FloatArray:
    """The array with zeros at the end of one axis, so that it has ``size`` entries."""
    missing = size - values.shape[axis]
    if missing == 0:
        return values
    widths = [(0, 0)] * values.ndim
    widths[axis] = (0, missing)
    return np.pad(values, widths)
