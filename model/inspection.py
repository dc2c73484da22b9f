"""What happens inside the recurrent layers, step by step: hidden states, cell states and gates.

torch's fused layers give neither gates nor any cell state but the last. This loop computes the same
numbers from the same parameters, many times as slowly: it is for looking, not for training or
serving. Every step is a tensor of its own that autograd knows, so gradients can be taken with
respect to the state at any time. Shape suffixes: T time, B rows, F features, H hidden, G gates side
by side. Knows neither text nor files.
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

GATES: dict[Cell, tuple[str, ...]] = {
    "elman": (),
    "gru": ("reset", "update"),
    "lstm": ("input", "forget", "output"),
}


class Step(NamedTuple):
    """One layer after one token.

    ``cell_BH`` is that of an LSTM. ``gates`` holds (B, H) by the names in GATES, in that order. A
    GRU's update gate is torch's: the share of the old state that is kept.
    """

    hidden_BH: Tensor
    cell_BH: Tensor | None
    gates: dict[str, Tensor]


def inspect(network: LanguageModel, tokens_TB: Tensor, state: State) -> list[list[Step]]:
    """The steps of every layer, lowest first, while it reads on from ``state``; without dropout."""
    a = network.architecture
    values_TBF = network.embedding(tokens_TB)
    layers = []
    for layer in range(a.layers):
        weights = layer_weights(network.recurrent, a.cell, layer)
        layers.append(run_steps(weights, values_TBF, state.layer(layer)))
        values_TBF = torch.stack([step.hidden_BH for step in layers[-1]])
    return layers


def run_steps(weights: LayerWeights, values_TBF: Tensor, state: State) -> list[Step]:
    """One layer over at least one step, from a one-layer state: as ``LayerWeights.run``, slowly."""
    input_weight, hidden_weight, input_bias, hidden_bias = weights.tensors
    advance = STEPS[weights.cell]
    cell_BH = None if state.cell_LBH is None else state.cell_LBH[0]
    step = Step(state.hidden_LBH[0], cell_BH, {})
    steps = []
    for read_BG in functional.linear(values_TBF, input_weight, input_bias):
        recalled_BG = functional.linear(step.hidden_BH, hidden_weight, hidden_bias)
        step = advance(read_BG, recalled_BG, step)
        steps.append(step)
    return steps


def _elman(read_BH: Tensor, recalled_BH: Tensor, before: Step) -> Step:
    return Step(torch.tanh(read_BH + recalled_BH), before.cell_BH, {})


def _gru(read_BG: Tensor, recalled_BG: Tensor, before: Step) -> Step:
    read_reset, read_update, read_BH = read_BG.chunk(3, dim=1)
    recalled_reset, recalled_update, recalled_BH = recalled_BG.chunk(3, dim=1)
    reset_BH = torch.sigmoid(read_reset + recalled_reset)
    update_BH = torch.sigmoid(read_update + recalled_update)
    new_BH = torch.tanh(read_BH + reset_BH * recalled_BH)
    hidden_BH = (1 - update_BH) * new_BH + update_BH * before.hidden_BH
    return Step(hidden_BH, before.cell_BH, {"reset": reset_BH, "update": update_BH})


def _lstm(read_BG: Tensor, recalled_BG: Tensor, before: Step) -> Step:
    if before.cell_BH is None:
        raise ValueError("an LSTM needs a state with a cell, this one has only hidden states")
    input_BH, forget_BH, new_BH, output_BH = (read_BG + recalled_BG).chunk(4, dim=1)
    gates = {
        "input": torch.sigmoid(input_BH),
        "forget": torch.sigmoid(forget_BH),
        "output": torch.sigmoid(output_BH),
    }
    cell_BH = gates["forget"] * before.cell_BH + gates["input"] * torch.tanh(new_BH)
    return Step(gates["output"] * torch.tanh(cell_BH), cell_BH, gates)


STEPS: dict[Cell, Callable[[Tensor, Tensor, Step], Step]] = {
    "elman": _elman,
    "gru": _gru,
    "lstm": _lstm,
}
