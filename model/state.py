"""The recurrent state of a batch: one class for h (Elman, GRU) and (h, c) (LSTM).

The size of a state does not depend on the length of the sequence, so rows can be copied, moved
between batches and resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.architecture import LanguageModelArchitecture

Rows = Sequence[int] | Tensor
TensorChange = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class State:
    """Hidden states of every layer for a batch of rows, and cell states where the cell has them.

    Shapes: ``hidden_LBH`` and ``cell_LBH`` are (layers, rows, hidden); ``cell_LBH`` is None for
    Elman and GRU cells.
    """

    hidden_LBH: Tensor
    cell_LBH: Tensor | None = None

    @classmethod
    def zeros(
        cls,
        architecture: LanguageModelArchitecture,
        batch: int,
        dtype: torch.dtype = torch.float32,
    ) -> State:
        """A state of zeros for ``batch`` rows."""
        shape = (architecture.layers, batch, architecture.hidden)
        cell_LBH = torch.zeros(shape, dtype=dtype) if architecture.cell == "lstm" else None
        return cls(torch.zeros(shape, dtype=dtype), cell_LBH)

    @property
    def batch(self) -> int:
        """Number of rows."""
        return self.hidden_LBH.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all rows together."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def gather(self, rows: Rows) -> State:
        """A copy of the given rows, in the given order; a row may occur more than once."""
        index_B = torch.as_tensor(rows, dtype=torch.long)
        return self._map(lambda tensor: tensor.index_select(1, index_B))

    def scatter(self, rows: Rows, source: State) -> None:
        """Overwrites the given rows in place with the rows of ``source``, in order."""
        index_B = torch.as_tensor(rows, dtype=torch.long)
        for own, other in zip(self._tensors(), source._tensors(), strict=True):
            own.index_copy_(1, index_B, other)

    def expand(self, batch: int) -> State:
        """A state of ``batch`` copies of the only row."""
        return self._map(lambda tensor: tensor.repeat(1, batch, 1))

    def select(self, chosen_B: Tensor, other: State) -> State:
        """Row by row ``other`` where ``chosen_B`` (bool) is true, else this state."""
        mask_1B1 = chosen_B.view(1, -1, 1)
        cell_LBH = None
        if self.cell_LBH is not None and other.cell_LBH is not None:
            cell_LBH = torch.where(mask_1B1, other.cell_LBH, self.cell_LBH)
        return State(torch.where(mask_1B1, other.hidden_LBH, self.hidden_LBH), cell_LBH)

    def layer(self, index: int) -> State:
        """The state of one layer, with a leading axis of length 1."""
        return self._map(lambda tensor: tensor[index : index + 1])

    @classmethod
    def stack(cls, layers: Sequence[State]) -> State:
        """One state from the states of single layers, lowest first; inverse of :meth:`layer`."""
        cells = [layer.cell_LBH for layer in layers if layer.cell_LBH is not None]
        return cls(
            torch.cat([layer.hidden_LBH for layer in layers]), torch.cat(cells) if cells else None
        )

    def detach(self) -> State:
        """The state detached from the autograd graph, as truncated backpropagation requires."""
        return self._map(Tensor.detach)

    def _tensors(self) -> list[Tensor]:
        return [self.hidden_LBH] if self.cell_LBH is None else [self.hidden_LBH, self.cell_LBH]

    def _map(self, change: TensorChange) -> State:
        return State(*(change(tensor) for tensor in self._tensors()))
