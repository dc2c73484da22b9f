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

import numpy as np
import torch
from torch import Tensor

from model.architecture import GATE_BLOCKS
from model.networks import LanguageModel
from model.output_layer import Tail
from model.state import State
from service.kernel.api import packing
from service.kernel.api.interface import RowResult, RowWork
from service.kernel.api.packing import KernelPrecision, PackedMatrix, padded
from service.kernel.api.validation import check_row, check_state, check_suppressed, check_work
from service.kernel.native import library
from service.kernel.native.buffers import CallBuffers, state_of

TABLE_BYTES = 128 * 2**20
# About 0.2 ms of work. Below it, synchronizing a second thread costs more than it gains.
WORTH_SHARING = 16_000_000


class NativeKernel:
    """Implements :class:`service.kernel.api.interface.Kernel` for one language model.

    ``end``: the id that ends sampling. ``suppressed``: ids that are never sampled.
    ``worth_sharing``: the number of multiplications from which a step uses more than one thread.
    Raises NativeMissing if the library was not built, ValueError on weights that are not finite.
    """

    def __init__(
        self,
        network: LanguageModel,
        *,
        capacity: int,
        end: int,
        suppressed: Collection[int],
        threads: int = 1,
        precision: KernelPrecision = "int8",
        worth_sharing: int = WORTH_SHARING,
    ) -> None:
        self._library = library.load()
        architecture = network.architecture
        check_suppressed(suppressed, architecture.vocabulary)
        self.capacity = capacity
        self.vocabulary = architecture.vocabulary
        self.precision = precision
        self._first = network.initial_state(1).detach().gather([0])
        shape_LRU = (architecture.layers, capacity, padded(architecture.hidden))
        parts = 2 if architecture.cell == "lstm" else 1  # hidden states, cell states
        self._state_shape = (parts, architecture.layers, architecture.hidden)
        self._hidden_LRU = torch.zeros(shape_LRU)
        self._cell_LRU = torch.zeros(shape_LRU) if architecture.cell == "lstm" else None
        self._scales = [
            packing.state_scale(first, precision) for first in self._first.hidden_LBH.unbind()
        ]
        kind = torch.uint8 if precision == "int8" else torch.float32
        self._activations_L2RU = torch.zeros(
            (shape_LRU[0], 2, *shape_LRU[1:]), dtype=kind
        )  # two: units of a layer are written while others still read the previous activations
        self._current_R = torch.zeros(capacity, dtype=torch.uint8)
        self._kept: list[object] = []  # keeps the tensors alive that C++ has pointers to
        self._model = self._create(network, end, suppressed, threads, worth_sharing)
        weakref.finalize(self, self._library.unroll_destroy, self._model)
        for row in range(capacity):
            self.restore(row, self._first)

    def open(self, row: int) -> None:
        """Set the row to the learned initial state."""
        self.restore(row, self._first)

    def fork(self, source: int, target: int) -> None:
        """Copy the state of one row to another."""
        self.restore(target, self.save(source))

    def save(self, row: int) -> State:
        """A copy of the row's state, as a batch of one."""
        check_row(row, self.capacity)
        state_PLH = np.empty(self._state_shape, dtype=np.float32)
        hiddens, cells = state_PLH[0], state_PLH[-1]
        self._library.unroll_save(self._model, row, hiddens.ctypes.data, cells.ctypes.data)
        return state_of(state_PLH)

    def restore(self, row: int, state: State) -> None:
        """Overwrite the row's state with a batch of one."""
        check_row(row, self.capacity)
        check_state(state, self._state_shape)
        parts = [
            None if part is None else part.contiguous()
            for part in (state.hidden_LBH, state.cell_LBH)
        ]
        self._library.unroll_restore(self._model, row, *map(library.address, parts))

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
        network: LanguageModel,
        end: int,
        suppressed: Collection[int],
        threads: int,
        worth_sharing: int,
    ) -> int:
        architecture = network.architecture
        never = torch.tensor(sorted(set(suppressed)), dtype=torch.int32)
        table, embedding, scales = self._first_inputs(network)
        layers = (library.LayerDescription * architecture.layers)(
            *(self._layer(network, layer, table) for layer in range(architecture.layers))
        )
        projection, output = network.projection, network.output.parts()
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
            if projection is None
            else self._linear(projection.weight, projection.bias),
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
        self, network: LanguageModel
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """A lookup table of input products, or else an embedding and its scales."""
        architecture = network.architecture
        gates = GATE_BLOCKS[architecture.cell]
        size = 4 * self.vocabulary * gates * padded(architecture.hidden)
        weight, bias = network.recurrent.weight_ih_l0, network.recurrent.bias_ih_l0
        assert isinstance(weight, Tensor)
        assert isinstance(bias, Tensor)
        if size <= TABLE_BYTES:
            return packing.lookup_table(network.embedding.weight, weight, bias, gates), None, None
        return None, *packing.quantized_rows(network.embedding.weight, self.precision)

    def _layer(
        self, network: LanguageModel, layer: int, table: Tensor | None
    ) -> library.LayerDescription:
        gates = GATE_BLOCKS[network.architecture.cell]
        input_weight, hidden_weight, input_bias, hidden_bias = (
            packing.gate_blocks(getattr(network.recurrent, f"{name}_l{layer}"), gates)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        looked_up = layer == 0 and table is not None
        cells = self._cell_LRU
        return library.LayerDescription(
            input=library.Matrix()
            if looked_up
            else self._matrix(packing.pack(input_weight, input_bias, self.precision)),
            hidden=self._matrix(packing.pack(hidden_weight, hidden_bias, self.precision)),
            hiddens=self._hidden_LRU[layer].data_ptr(),
            cells=None if cells is None else cells[layer].data_ptr(),
            activations=self._activations_L2RU[layer].data_ptr(),
            scale=self._scales[layer],
        )

    def _tail(self, tail: Tail) -> library.TailDescription:
        narrow = tail.narrow_DH
        return library.TailDescription(
            narrow=library.Matrix()
            if narrow is None
            else self._linear(narrow, torch.zeros(len(narrow))),
            words=self._linear(tail.weight_KD, tail.bias_K),
            begin=tail.begin,
            end=tail.end,
        )

    def _linear(self, weight: Tensor, bias: Tensor) -> library.Matrix:
        blocks = packing.linear_blocks(weight), packing.linear_blocks(bias)
        return self._matrix(packing.pack(*blocks, self.precision))

    def _matrix(self, packed: PackedMatrix) -> library.Matrix:
        self._kept.append(packed)
        return library.matrix(packed)

    def _keep(self, tensor: Tensor | None) -> int | None:
        self._kept.append(tensor)
        return library.address(tensor)
