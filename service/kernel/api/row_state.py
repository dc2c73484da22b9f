"""The recurrent state of one sequence as an array.

:class:`model.state.State` is the same for a batch, in torch, for training and inspections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.architecture import Architecture
from model.storage.weights import Weights


@dataclass(frozen=True, slots=True, eq=False)
class RowState:
    """Hidden states of every layer, then cell states where the cell has them.

    ``values_PLH``: float32 (parts, layers, hidden); two parts for an LSTM, else one.
    """

    values_PLH: NDArray[np.float32]

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers."""
        return self.values_PLH.nbytes


def state_parts(architecture: Architecture) -> int:
    """The number of parts of a state."""
    return 2 if architecture.cell == "lstm" else 1


def first_state(weights: Weights[Architecture]) -> RowState:
    """The learned initial state of a network that reads in one direction."""
    names = ("initial_hidden_L1H", "initial_cell_L1H")[: state_parts(weights.architecture)]
    return RowState(np.stack([weights[name][:, 0] for name in names]))
