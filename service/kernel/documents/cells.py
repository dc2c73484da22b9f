"""One recurrent layer of one sequence, step by step, in float32.

Shape suffixes: T time, F features, H hidden, G gates side by side, in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from model.architecture import Architecture, Cell
from model.storage.shapes import layer_suffix
from model.storage.weights import Weights
from service.kernel.api.interface import FloatArray

Step = Callable[[FloatArray, FloatArray, FloatArray], None]


class NumpyLayer(NamedTuple):
    """The parameters of one layer, with the matrices transposed."""

    cell: Cell
    input_FG: FloatArray
    hidden_HG: FloatArray
    input_bias_G: FloatArray
    hidden_bias_G: FloatArray

    def run(self, values_TF: FloatArray, state_PH: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The hidden states (T, H), and the state after the last step; the given one is kept."""
        step = STEPS[self.cell]
        state_PH = state_PH.copy()
        inputs_TG = values_TF @ self.input_FG + self.input_bias_G
        hidden_TH = np.empty((len(values_TF), state_PH.shape[1]), dtype=np.float32)
        for input_G, hidden_H in zip(inputs_TG, hidden_TH, strict=True):
            step(input_G, state_PH[0] @ self.hidden_HG + self.hidden_bias_G, state_PH)
            hidden_H[:] = state_PH[0]
        return hidden_TH, state_PH


def numpy_layer(weights: Weights[Architecture], layer: int, direction: int = 0) -> NumpyLayer:
    """One layer of a network in one direction; 1 is backward."""
    suffix = layer_suffix(layer, direction)
    matrices = (
        weights[f"recurrent.{name}{suffix}"].T.copy() for name in ("weight_ih", "weight_hh")
    )
    biases = (weights[f"recurrent.{name}{suffix}"] for name in ("bias_ih", "bias_hh"))
    return NumpyLayer(weights.architecture.cell, *matrices, *biases)


def _elman(input_H: FloatArray, recurrent_H: FloatArray, state_1H: FloatArray) -> None:
    np.tanh(input_H + recurrent_H, out=state_1H[0])


def _gru(input_G: FloatArray, recurrent_G: FloatArray, state_1H: FloatArray) -> None:
    hidden_H = state_1H[0]
    size = len(hidden_H)
    reset_H, update_H = np.split(_sigmoid(input_G[: 2 * size] + recurrent_G[: 2 * size]), 2)
    new_H = np.tanh(input_G[2 * size :] + reset_H * recurrent_G[2 * size :])
    hidden_H[:] = (1 - update_H) * new_H + update_H * hidden_H


def _lstm(input_G: FloatArray, recurrent_G: FloatArray, state_2H: FloatArray) -> None:
    hidden_H, cell_H = state_2H
    input_H, forget_H, new_H, output_H = np.split(input_G + recurrent_G, 4)
    cell_H[:] = _sigmoid(forget_H) * cell_H + _sigmoid(input_H) * np.tanh(new_H)
    hidden_H[:] = _sigmoid(output_H) * np.tanh(cell_H)


def _sigmoid(values: FloatArray) -> FloatArray:
    """By the hyperbolic tangent, which does not overflow."""
    half = np.float32(0.5)
    return np.asarray(half * np.tanh(half * values) + half)


# Each changes the state in place, given the products of the input and of the hidden state.
STEPS: dict[Cell, Step] = {
    "elman": _elman,
    "gru": _gru,
    "lstm": _lstm,
}
