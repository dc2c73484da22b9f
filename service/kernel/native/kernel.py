"""The native kernel: packs a language model once, owns the rows, and passes each call to C++.

Weights are int8 (one scale for each output) or float32. First-layer products come from a lookup
table if it fits ``TABLE_BYTES``. A row's results are bit-identical for any neighbors, number of
threads and number of steps in a call: integer sums are exact, and floating-point operations of a
row run in one order.

Shape suffixes: L layers, R rows of the pool, U units padded to 16, V vocabulary.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.architecture import GATE_BLOCKS, LanguageModelArchitecture
from model.storage.weights import Weights
from service.kernel.api import packing
from service.kernel.api.aligned import aligned_zeros
from service.kernel.api.interface import FloatArray, RowResult, RowWork
from service.kernel.api.packing import KernelPrecision, PackedMatrix, padded
from service.kernel.api.row_state import RowState, first_state
from service.kernel.api.validation import check_row, check_state, check_suppressed, check_work
from service.kernel.native import library
from service.kernel.native.buffers import CallBuffers
from service.kernel.native.input_table import input_table
from service.kernel.native.output_parts import TailArrays, output_arrays

TABLE_BYTES = 128 * 2**20
# About 0.2 ms of work. Waking a second thread for less costs more than it gains; the same is true
# of steps of less than a quarter of it.
WORTH_SHARING = 16_000_000


class NativeKernel:
    """Implements :class:`service.kernel.api.interface.Kernel` for one language model.

    ``end``: the id that ends sampling. ``suppressed``: ids that are never sampled.
    ``worth_sharing``: the number of multiplications from which a call uses more than one thread;
    each of its steps must have a quarter of them.
    Raises NativeMissing if the library was not built, ValueError on weights that are not finite.
    """

    def __init__(
        self,
        weights: Weights[LanguageModelArchitecture],
        *,
        capacity: int,
        end: int,
        suppressed: Collection[int],
        threads: int = 1,
        precision: KernelPrecision = "int8",
        worth_sharing: int = WORTH_SHARING,
    ) -> None:
        self._library = library.load()
        architecture = weights.architecture
        check_suppressed(suppressed, architecture.vocabulary)
        self.capacity = capacity
        self.vocabulary = architecture.vocabulary
        self.precision = precision
        self._first = first_state(weights)
        shape_LRU = (architecture.layers, capacity, padded(architecture.hidden))
        self._state_shape = self._first.values_PLH.shape
        self._hidden_LRU = aligned_zeros(shape_LRU, np.float32)
        self._cell_LRU = (
            aligned_zeros(shape_LRU, np.float32) if architecture.cell == "lstm" else None
        )
        self._scales = [
            packing.state_scale(first_H, precision) for first_H in self._first.values_PLH[0]
        ]
        kind = np.uint8 if precision == "int8" else np.float32
        self._activations_L2RU = aligned_zeros(
            (shape_LRU[0], 2, *shape_LRU[1:]), dtype=kind
        )  # two: units of a layer are written while others still read the previous activations
        self._current_R = np.zeros(capacity, dtype=np.uint8)
        self._kept: list[object] = []  # keeps the arrays alive that C++ has pointers to
        self._model = self._create(weights, end, suppressed, threads, worth_sharing)
        weakref.finalize(self, self._library.unroll_destroy, self._model)
        for row in range(capacity):
            self.restore(row, self._first)

    def open(self, row: int) -> None:
        """Set the row to the learned initial state."""
        self.restore(row, self._first)

    def fork(self, source: int, target: int) -> None:
        """Copy the state of one row to another."""
        self.restore(target, self.save(source))

    def save(self, row: int) -> RowState:
        """A copy of the row's state."""
        check_row(row, self.capacity)
        state_PLH = np.empty(self._state_shape, dtype=np.float32)
        hiddens, cells = state_PLH[0], state_PLH[-1]
        self._library.unroll_save(self._model, row, hiddens.ctypes.data, cells.ctypes.data)
        return RowState(state_PLH)

    def restore(self, row: int, state: RowState) -> None:
        """Overwrite the row's state."""
        check_row(row, self.capacity)
        check_state(state, self._state_shape)
        values_PLH = np.ascontiguousarray(state.values_PLH)
        hiddens, cells = values_PLH[0], values_PLH[-1]
        self._library.unroll_restore(self._model, row, hiddens.ctypes.data, cells.ctypes.data)

    def interrupt(self) -> None:
        """End the current call, or the next one, after its current step. Thread-safe."""
        self._library.unroll_interrupt(self._model)

    def run(
        self,
        work: Sequence[RowWork],
        steps: int,
        *,
        cut_at_end: bool = False,
        seconds: float = math.inf,
    ) -> list[RowResult]:
        """Advance each row by up to ``steps`` tokens; see the interface."""
        check_work(work, steps, self.capacity, self.vocabulary)
        top = max((item.sampling.top_logprobs for item in work), default=0)
        buffers = CallBuffers(
            work, steps, min(top, self.vocabulary), self.vocabulary, self._state_shape
        )
        call = buffers.call(steps, cut_at_end=cut_at_end, seconds=seconds)
        if self._library.unroll_run(self._model, ctypes.byref(call)) != 0:
            raise MemoryError("the native kernel could not allocate memory for a step")
        return buffers.results()

    def _create(
        self,
        weights: Weights[LanguageModelArchitecture],
        end: int,
        suppressed: Collection[int],
        threads: int,
        worth_sharing: int,
    ) -> int:
        architecture = weights.architecture
        never = np.array(sorted(set(suppressed)), dtype=np.int32)
        table, embedding, scales = self._first_inputs(weights, threads)
        layers = (library.LayerDescription * architecture.layers)(
            *(self._layer(weights, layer, table) for layer in range(architecture.layers))
        )
        output = output_arrays(weights)
        tails = (library.TailDescription * len(output.tails))(*map(self._tail, output.tails))
        description = library.ModelDescription(
            cell=library.CELL_CODES[architecture.cell],
            precision=library.PRECISION_CODES[self.precision],
            layers=architecture.layers,
            rows=self.capacity,
            width=architecture.hidden,
            units=padded(architecture.hidden),
            vocabulary=self.vocabulary,
            end=end,
            never_count=len(never),
            never=self._keep(never),
            layer=layers,
            table=self._keep(table),
            embedding=self._keep(embedding),
            embedding_scales=self._keep(scales),
            embedding_inputs=0 if embedding is None else embedding.shape[1],
            projection=library.Matrix()
            if architecture.projection is None
            else self._linear(weights["projection.weight"], weights["projection.bias"]),
            output=self._linear(output.weight_JH, output.bias_J),
            tail_count=len(tails),
            tails=tails,
            current=self._keep(self._current_R),
            worth_sharing=worth_sharing,
        )
        self._kept.append(description)
        instruction_set = library.requested_instruction_set()
        library.instruction_set()  # raises if the requested set is not available
        model = self._library.unroll_create(ctypes.byref(description), threads, instruction_set)
        if model is None:
            raise MemoryError("the native kernel could not allocate memory for the model")
        return int(model)

    def _first_inputs(
        self, weights: Weights[LanguageModelArchitecture], threads: int
    ) -> tuple[FloatArray | None, NDArray[Any] | None, FloatArray | None]:
        """A lookup table of input products, or else an embedding and its scales."""
        architecture = weights.architecture
        gates = GATE_BLOCKS[architecture.cell]
        size = 4 * self.vocabulary * gates * padded(architecture.hidden)
        embedding_VE = weights["embedding.weight"]
        if size > TABLE_BYTES:
            return None, *packing.quantized_rows(embedding_VE, self.precision)
        weight, bias = (weights[f"recurrent.{name}_ih_l0"] for name in ("weight", "bias"))
        return input_table(embedding_VE, weight, bias, gates, threads), None, None

    def _layer(
        self, weights: Weights[LanguageModelArchitecture], layer: int, table: FloatArray | None
    ) -> library.LayerDescription:
        gates = GATE_BLOCKS[weights.architecture.cell]
        input_weight, hidden_weight, input_bias, hidden_bias = (
            packing.gate_blocks(weights[f"recurrent.{name}_l{layer}"], gates)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        looked_up = layer == 0 and table is not None
        cells = self._cell_LRU
        return library.LayerDescription(
            input=library.Matrix()
            if looked_up
            else self._matrix(packing.pack(input_weight, input_bias, self.precision)),
            hidden=self._matrix(packing.pack(hidden_weight, hidden_bias, self.precision)),
            hiddens=self._hidden_LRU[layer].ctypes.data,
            cells=None if cells is None else cells[layer].ctypes.data,
            activations=self._activations_L2RU[layer].ctypes.data,
            scale=self._scales[layer],
        )

    def _tail(self, tail: TailArrays) -> library.TailDescription:
        narrow = tail.narrow_DH
        return library.TailDescription(
            narrow=library.Matrix()
            if narrow is None
            else self._linear(narrow, np.zeros(len(narrow), np.float32)),
            words=self._linear(tail.weight_KD, tail.bias_K),
            begin=tail.begin,
            end=tail.end,
        )

    def _linear(self, weight: FloatArray, bias: FloatArray) -> library.Matrix:
        blocks = packing.linear_blocks(weight), packing.linear_blocks(bias)
        return self._matrix(packing.pack(*blocks, self.precision))

    def _matrix(self, packed: PackedMatrix) -> library.Matrix:
        self._kept.append(packed)
        return library.matrix(packed)

    def _keep(self, array: NDArray[Any] | None) -> int | None:
        self._kept.append(array)
        return library.address(array)
