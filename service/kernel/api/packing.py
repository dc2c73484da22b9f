"""Weight packing for the native kernel. The C++ side only gets pointers to the packed tensors.

Outputs are stored in groups of gates times 16 (native/csrc/matrix.h has the order and the reason).
int8: one symmetric scale for each output; activations are bytes offset by 128. A recurrent state
lies in (-1, 1) unless the learned initial state exceeds it, so its scale is known in advance.

Shape suffixes: O outputs, I inputs, N groups, G gates, V vocabulary, U units padded to 16.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

KernelPrecision = Literal["int8", "float32"]
LANES = 16
LINEAR_GATES = 4
INT8_MAX = 127  # largest magnitude of a quantized weight
ACTIVATION_OFFSET = 128  # added to an activation to make it an unsigned byte


class PackedMatrix(NamedTuple):
    """Weights in the native order, with scales, offsets and biases of each output."""

    weights: Tensor
    scales: Tensor
    offsets: Tensor
    biases: Tensor
    groups: int
    gates: int
    inputs: int


def padded(count: int, multiple: int = LANES) -> int:
    """``count`` rounded up to a multiple."""
    return -(-count // multiple) * multiple


def padded_row(values: Tensor) -> Tensor:
    """The last axis padded with zeros to a multiple of 16, float32 and contiguous."""
    missing = padded(values.shape[-1]) - values.shape[-1]
    return functional.pad(values.detach().float(), (0, missing)).contiguous()


def padded_parts(weight_OI: Tensor, parts: int) -> Tensor:
    """Input weights whose inputs come in equal parts, with each part padded separately."""
    return torch.cat([padded_row(part) for part in weight_OI.chunk(parts, dim=1)], dim=1)


def gate_blocks(values: Tensor, gates: int) -> Tensor:
    """(gates * units, ...) in torch's order to (groups, gates, 16, ...), padded with zeros."""
    units = values.shape[0] // gates
    split = values.detach().float().reshape(gates, units, -1)
    split = functional.pad(split, (0, 0, 0, padded(units) - units))
    return split.view(gates, -1, LANES, split.shape[2]).transpose(0, 1)


def linear_blocks(values: Tensor) -> Tensor:
    """(outputs, ...) to (groups, 4, 16, ...), padded with zeros."""
    flat = values.detach().float().reshape(values.shape[0], -1)
    padded_length = padded(len(flat), LANES * LINEAR_GATES)
    flat = functional.pad(flat, (0, 0, 0, padded_length - len(flat)))
    return flat.view(-1, LINEAR_GATES, LANES, flat.shape[1])


def pack(weight_NGOI: Tensor, bias_NGO1: Tensor, precision: KernelPrecision) -> PackedMatrix:
    """Pack blocks of :func:`gate_blocks` or :func:`linear_blocks`; inputs are padded to a multiple
    of 16.

    Raises ValueError if a weight or bias is not finite.
    """
    extremes = (*torch.aminmax(weight_NGOI), *torch.aminmax(bias_NGO1))
    if not all(extreme.isfinite() for extreme in extremes):  # aminmax propagates NaN
        raise ValueError("the network has weights that are not finite numbers")
    groups, gates, _, inputs = weight_NGOI.shape
    width = padded(inputs)
    weight_NGOI = functional.pad(weight_NGOI, (0, width - inputs))
    biases = bias_NGO1.contiguous().clone()
    if precision == "float32":
        none = torch.empty(0)
        packed = weight_NGOI.permute(0, 3, 1, 2).contiguous()
        return PackedMatrix(packed, none, none, biases, groups, gates, width)
    bound = weight_NGOI.abs().amax(dim=3, keepdim=True)
    scales = torch.where(bound > 0, bound / INT8_MAX, torch.ones_like(bound))
    whole = (weight_NGOI / scales).round().to(torch.int32)
    offsets = (whole.sum(dim=3) * ACTIVATION_OFFSET).to(torch.int32).contiguous()
    packed = whole.to(torch.int8).view(groups, gates, LANES, width // 4, 4)
    packed = packed.permute(0, 3, 1, 2, 4).contiguous()
    return PackedMatrix(packed, scales.contiguous(), offsets, biases, groups, gates, width)


def lookup_table(embedding_VI: Tensor, weight: Tensor, bias: Tensor, gates: int) -> Tensor:
    """W x + b of every token (V, groups * gates * 16), float32, in the order of the gates."""
    weight_OI = gate_blocks(weight, gates).flatten(0, 2)
    bias_O = gate_blocks(bias, gates).flatten()
    return torch.addmm(bias_O, embedding_VI.detach().float(), weight_OI.t()).contiguous()


def state_scale(first_LH: Tensor, precision: KernelPrecision) -> float:
    """The scale of one unit of a state's activation. States stay within 1 or the largest initial
    value.
    """
    if precision == "float32":
        return 1.0
    return max(1.0, float(first_LH.detach().abs().max())) / INT8_MAX


def activations_of(values: Tensor, scale: Tensor, precision: KernelPrecision) -> Tensor:
    """The bytes (or floats) that represent ``values``, with the same arithmetic as in C++."""
    if precision == "float32":
        return values.clone()
    return (values * (1.0 / scale) + (ACTIVATION_OFFSET + 0.5)).clamp(1, 255).to(torch.uint8)


def quantized_rows(values_VI: Tensor, precision: KernelPrecision) -> tuple[Tensor, Tensor]:
    """Activations (V, inputs padded) with one scale for each row, for an embedding."""
    width = padded(values_VI.shape[1])
    rows = functional.pad(values_VI.detach().float(), (0, width - values_VI.shape[1]))
    if precision == "float32":
        return rows.contiguous(), torch.ones(len(rows))
    bound_V1 = rows.abs().amax(dim=1, keepdim=True)
    scales_V1 = torch.where(bound_V1 > 0, bound_V1 / INT8_MAX, torch.ones_like(bound_V1))
    whole = (rows / scales_V1).round() + ACTIVATION_OFFSET
    return whole.to(torch.uint8).contiguous(), scales_V1.flatten().contiguous()
