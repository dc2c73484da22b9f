"""Hidden states, cell states and gates of the recurrent layers at every time step.

torch's fused layers return neither gates nor any cell state but the last. This loop computes the
same values from the same parameters, many times as slowly, for analysis only. Every step is a
separate tensor in the autograd graph, so gradients with respect to the state at any time step can
be computed.

Shape suffixes: T time, B rows, F features, H hidden, G gates side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from model.architecture import Cell
from model.networks import LanguageModel
from model.recurrent import LayerWeights, layer_weights
from model.state import State

GATE_NAMES: dict[Cell, tuple[str, ...]] = {
    "elman": (),
    "gru": ("reset", "update"),
    "lstm": ("input", "forget", "output"),
}


class LayerStep(NamedTuple):
    """One layer after one time step.

    ``cell_BH`` is None for Elman and GRU cells. ``gates`` holds activations (B, H) by the names and
    in the order of GATE_NAMES. The update gate of a GRU is torch's: the share of the previous state
    that is kept.
    """

    hidden_BH: Tensor
    cell_BH: Tensor | None
    gates: dict[str, Tensor]


def inspect(network: LanguageModel, tokens_TB: Tensor, state: State) -> list[list[LayerStep]]:
    """Runs a language model over tokens, without dropout.

    Args:
        network: the language model.
        tokens_TB: token ids (T, B).
        state: state of all layers before the first token.

    Returns:
        For each layer, lowest first, its T time steps.
    """
    a = network.architecture
    values_TBF = network.embedding(tokens_TB)
    layers = []
    for layer in range(a.layers):
        weights = layer_weights(network.recurrent, a.cell, layer)
        layers.append(run_steps(weights, values_TBF, state.layer(layer)))
        values_TBF = torch.stack([step.hidden_BH for step in layers[-1]])
    return layers


def run_steps(weights: LayerWeights, values_TBF: Tensor, state: State) -> list[LayerStep]:
    """One layer over at least one time step, from a one-layer state, as ``LayerWeights.run``."""
    input_weight, hidden_weight, input_bias, hidden_bias = weights.tensors
    cell_function = CELL_FUNCTIONS[weights.cell]
    cell_BH = None if state.cell_LBH is None else state.cell_LBH[0]
    step = LayerStep(state.hidden_LBH[0], cell_BH, {})
    steps = []
    for input_BG in functional.linear(values_TBF, input_weight, input_bias):
        recurrent_BG = functional.linear(step.hidden_BH, hidden_weight, hidden_bias)
        step = cell_function(input_BG, recurrent_BG, step)
        steps.append(step)
    return steps


def _elman(input_BH: Tensor, recurrent_BH: Tensor, previous: LayerStep) -> LayerStep:
    return LayerStep(torch.tanh(input_BH + recurrent_BH), previous.cell_BH, {})


def _gru(input_BG: Tensor, recurrent_BG: Tensor, previous: LayerStep) -> LayerStep:
    input_reset_BH, input_update_BH, input_new_BH = input_BG.chunk(3, dim=1)
    recurrent_reset_BH, recurrent_update_BH, recurrent_new_BH = recurrent_BG.chunk(3, dim=1)
    reset_BH = torch.sigmoid(input_reset_BH + recurrent_reset_BH)
    update_BH = torch.sigmoid(input_update_BH + recurrent_update_BH)
    new_BH = torch.tanh(input_new_BH + reset_BH * recurrent_new_BH)
    hidden_BH = (1 - update_BH) * new_BH + update_BH * previous.hidden_BH
    return LayerStep(hidden_BH, previous.cell_BH, {"reset": reset_BH, "update": update_BH})


def _lstm(input_BG: Tensor, recurrent_BG: Tensor, previous: LayerStep) -> LayerStep:
    if previous.cell_BH is None:
        raise ValueError("expected an LSTM state with cell states, got hidden states only")
    input_BH, forget_BH, new_BH, output_BH = (input_BG + recurrent_BG).chunk(4, dim=1)
    gates = {
        "input": torch.sigmoid(input_BH),
        "forget": torch.sigmoid(forget_BH),
        "output": torch.sigmoid(output_BH),
    }
    cell_BH = gates["forget"] * previous.cell_BH + gates["input"] * torch.tanh(new_BH)
    return LayerStep(gates["output"] * torch.tanh(cell_BH), cell_BH, gates)


CELL_FUNCTIONS: dict[Cell, Callable[[Tensor, Tensor, LayerStep], LayerStep]] = {
    "elman": _elman,
    "gru": _gru,
    "lstm": _lstm,
}
