"""The float32 reference kernel: torch's matrix products on weights packed once.

One pool holds the state of every row and is changed in place. A step gathers the rows that read a
token, pads them (:mod:`service.kernel.pytorch.linear` explains why), runs every layer, and runs the
output layer only for rows that need logits. Logits are within 1e-4 of torch's float64 modules for
weights of the usual size. A row is bit-identical for any neighbors. The number of threads is
torch's (``torch.set_num_threads`` in the calling thread).

Shape suffixes: L layers, R rows of the pool, B rows in a step, H hidden, E embedding, V vocabulary.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from model.networks import LanguageModel
from model.state import State
from service.kernel.api.interface import RowResult, RowWork
from service.kernel.api.row_state import RowState, state_parts
from service.kernel.api.validation import check_row, check_state, check_work
from service.kernel.pytorch.cells import CELL_LAYERS, Layer
from service.kernel.pytorch.cursor import RowCursor
from service.kernel.pytorch.output import TorchOutput
from service.kernel.pytorch.sampler import SamplerRequest, SamplerResult


class TorchKernel:
    """Implements :class:`service.kernel.api.interface.Kernel` for one language model.

    ``end``: the id that ends sampling. ``suppressed``: ids that are never sampled.
    """

    def __init__(
        self, network: LanguageModel, *, capacity: int, end: int, suppressed: Collection[int]
    ) -> None:
        architecture = network.architecture
        self.capacity = capacity
        self.vocabulary = architecture.vocabulary
        self._end = end
        self._interrupted = False
        self._embedding_VE = network.embedding.weight.detach().clone()
        make_layer = CELL_LAYERS[architecture.cell]
        self._layers: list[Layer] = [
            make_layer(network.recurrent, layer) for layer in range(architecture.layers)
        ]
        self._output = TorchOutput(network, suppressed)
        self._multiple = self._output.row_multiple
        # One more row than the capacity: padding reads its state there and never writes it.
        self._pool = State.zeros(architecture, capacity + 1)
        hidden_LRH, cell_LRH = self._pool.hidden_LBH, self._pool.cell_LBH
        self._pool_parts = (hidden_LRH,) if cell_LRH is None else (hidden_LRH, cell_LRH)
        self._state_shape = (state_parts(architecture), architecture.layers, architecture.hidden)
        first = network.initial_state(1).detach()
        parts = [part for part in (first.hidden_LBH, first.cell_LBH) if part is not None]
        self._first = RowState(np.stack([part[:, 0].numpy() for part in parts]))

    def open(self, row: int) -> None:
        """Set the row to the learned initial state."""
        self.restore(row, self._first)

    def fork(self, source: int, target: int) -> None:
        """Copy the state of one row to another."""
        self.restore(target, self.save(source))

    @torch.inference_mode()
    def save(self, row: int) -> RowState:
        """A copy of the row's state."""
        check_row(row, self.capacity)
        return RowState(np.stack([part[:, row].numpy() for part in self._pool_parts]))

    @torch.inference_mode()
    def restore(self, row: int, state: RowState) -> None:
        """Overwrite the row's state."""
        check_row(row, self.capacity)
        check_state(state, self._state_shape)
        for part_LRH, values_LH in zip(self._pool_parts, state.values_PLH, strict=True):
            part_LRH[:, row] = torch.from_numpy(values_LH)

    def interrupt(self) -> None:
        """End the current call, or the next one, after its current step. Thread-safe."""
        self._interrupted = True

    @torch.inference_mode()
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
        cursors = [RowCursor(item, self._end) for item in work]
        latest = time.monotonic() + seconds
        for _ in range(steps):
            reading = [(c, token) for c in cursors if (token := c.next_token()) is not None]
            if not reading:
                break
            self._step([cursor for cursor, _ in reading], [token for _, token in reading])
            for cursor, _ in reading:
                if cursor.keeps_now():
                    cursor.result.kept = self.save(cursor.row)
            ended = any(cursor.next_token() is None for cursor, _ in reading)
            if self._interrupted or (cut_at_end and ended) or time.monotonic() >= latest:
                break
        self._interrupted = False
        return [cursor.result for cursor in cursors]

    def _step(self, cursors: list[RowCursor], tokens: list[int]) -> None:
        hidden_BH = self._advance([cursor.row for cursor in cursors], tokens)
        indices: list[int] = []
        asks: list[SamplerRequest] = []
        for index, cursor in enumerate(cursors):
            ask = cursor.ask()
            if ask is not None:
                indices.append(index)
                asks.append(ask)
        if not asks:
            return
        for index, answer in zip(indices, self._answers(hidden_BH, indices, asks), strict=True):
            cursors[index].take(answer)

    def _answers(
        self, hidden_BH: Tensor, indices: list[int], asks: list[SamplerRequest]
    ) -> Sequence[SamplerResult | None]:
        """One result for each index; None if its logits are not finite."""
        try:
            return self._output.answer(self._asking(hidden_BH, indices), asks)
        except FloatingPointError:
            if len(indices) == 1:
                return [None]
            singles = zip(indices, asks, strict=True)
            return [self._answers(hidden_BH, [index], [ask])[0] for index, ask in singles]

    def _advance(self, rows: list[int], tokens: list[int]) -> Tensor:
        """Each row reads its token. Returns the last layer's hidden states, padding included."""
        count = len(rows)
        padding = self._padding(count)
        rows_B = torch.tensor(rows + [self.capacity] * padding)
        values_BF = self._embedding_VE.index_select(0, torch.tensor(tokens + [0] * padding))
        for index, layer in enumerate(self._layers):
            before = tuple(part[index].index_select(0, rows_B) for part in self._pool_parts)
            after = layer.step(values_BF, before)
            for part, value_BH in zip(self._pool_parts, after, strict=True):
                part[index].index_copy_(0, rows_B[:count], value_BH[:count])
            values_BF = after[0]
        return values_BF

    def _asking(self, hidden_BH: Tensor, indices: list[int]) -> Tensor:
        """Hidden states of the rows with a request, in order, padded."""
        padded = indices + [indices[0]] * self._padding(len(indices))
        if padded == list(range(len(hidden_BH))):
            return hidden_BH
        return hidden_BH.index_select(0, torch.tensor(padded))

    def _padding(self, count: int) -> int:
        return -count % self._multiple
