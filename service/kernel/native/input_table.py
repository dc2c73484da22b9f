"""The table of the first layer's input products, computed by the native library.

A token's row holds W x + b in the order of the gates. The library adds the inputs in one fixed
order, so the table depends neither on a matrix library nor on the number of threads.
"""

from __future__ import annotations

import ctypes

import numpy as np

from service.kernel.api.aligned import aligned_empty
from service.kernel.api.interface import FloatArray
from service.kernel.api.packing import LANES, LINEAR_GATES, gate_blocks, linear_blocks
from service.kernel.native import library

# Inputs of one sum. The tables have had this order since they exist: a library computed it so.
BLOCK_INPUTS = 192


def input_table(
    embedding_VI: FloatArray, weight_OI: FloatArray, bias_O: FloatArray, gates: int, threads: int
) -> FloatArray:
    """W x + b of every token (V, groups * gates * 16), from torch's weights of one layer.

    Raises MemoryError.
    """
    tokens, inputs = embedding_VI.shape
    weight_OI = gate_blocks(weight_OI, gates).reshape(-1, inputs)
    bias_O = np.ascontiguousarray(gate_blocks(bias_O, gates).reshape(-1))
    outputs = len(bias_O)
    table_VO = aligned_empty((tokens, outputs), np.float32)
    size = block_inputs(inputs)
    packed = [_block(weight_OI[:, begin : begin + size]) for begin in range(0, inputs, size)]
    no_biases = np.zeros(packed[0].size // packed[0].shape[1], dtype=np.float32)
    blocks = (library.Matrix * len(packed))(*(_matrix(block, no_biases) for block in packed))
    job = library.InputTable(
        embedding_VI.ctypes.data,
        blocks,
        bias_O.ctypes.data,
        table_VO.ctypes.data,
        *(len(packed), tokens, inputs, outputs),
    )
    if library.load().unroll_fill_input_table(
        ctypes.byref(job), threads, library.requested_instruction_set()
    ):
        raise MemoryError("the native kernel could not allocate memory for a table")
    return table_VO


def block_inputs(inputs: int) -> int:
    """The number of inputs of one block; the last block may have fewer."""
    return inputs // 2 if BLOCK_INPUTS < inputs < 2 * BLOCK_INPUTS else BLOCK_INPUTS


def _block(weight_OI: FloatArray) -> FloatArray:
    """(groups, inputs, 4, 16), as a float32 matrix is packed, but without padded inputs."""
    return np.ascontiguousarray(linear_blocks(weight_OI).transpose(0, 3, 1, 2))


def _matrix(block_NIGL: FloatArray, biases: FloatArray) -> library.Matrix:
    groups, inputs = block_NIGL.shape[:2]
    assert block_NIGL.shape[2:] == (LINEAR_GATES, LANES)
    return library.Matrix(
        block_NIGL.ctypes.data, None, None, biases.ctypes.data, groups, LINEAR_GATES, inputs
    )
