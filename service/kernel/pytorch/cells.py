"""One layer of each cell type, one step of many rows, from torch's own parameters.

The equations are those of torch's nn.RNN (tanh), nn.GRU and nn.LSTM. Where a gate adds its input
and hidden products, their weights are concatenated, so that a layer is one product. The GRU's
candidate keeps two products because the reset gate scales one of them. To add a cell, write a class
with ``step`` and enter it in ``CELL_LAYERS``.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from service.kernel.pytorch.linear import PackedLinear

# hidden_BH; for an LSTM hidden_BH and cell_BH
CellState = tuple[Tensor, ...]


class Layer(Protocol):
    """One recurrent layer."""

    def step(self, input_BI: Tensor, state: CellState) -> CellState:
        """The next state, in new tensors, after one input for each row."""


class ElmanLayer:
    """h' = tanh(W x + b + U h + c)."""

    def __init__(self, recurrent: nn.RNNBase, layer: int) -> None:
        input_weight, hidden_weight, input_bias, hidden_bias = _parameters(recurrent, layer)
        self._linear = PackedLinear(
            torch.cat([input_weight, hidden_weight], dim=1), input_bias + hidden_bias
        )

    def step(self, input_BI: Tensor, state: CellState) -> CellState:
        return (self._linear(torch.cat([input_BI, state[0]], dim=1)).tanh_(),)


class GruLayer:
    """torch's GRU: gates r, z and the candidate n = tanh(W x + b + r * (U h + c))."""

    def __init__(self, recurrent: nn.RNNBase, layer: int) -> None:
        input_weight, hidden_weight, input_bias, hidden_bias = _parameters(recurrent, layer)
        self._input = PackedLinear(input_weight, input_bias)
        self._hidden = PackedLinear(hidden_weight, hidden_bias)

    def step(self, input_BI: Tensor, state: CellState) -> CellState:
        hidden_BH = state[0]
        width = hidden_BH.shape[1]
        from_input = self._input(input_BI)
        from_hidden = self._hidden(hidden_BH)
        gates = from_input[:, : 2 * width].add_(from_hidden[:, : 2 * width]).sigmoid_()
        reset_BH, update_BH = gates[:, :width], gates[:, width:]
        candidate_BH = from_hidden[:, 2 * width :].mul_(reset_BH).add_(from_input[:, 2 * width :])
        candidate_BH.tanh_()
        return (candidate_BH + update_BH * (hidden_BH - candidate_BH),)


class LstmLayer:
    """torch's LSTM: c' = f * c + i * g, h' = o * tanh(c')."""

    def __init__(self, recurrent: nn.RNNBase, layer: int) -> None:
        input_weight, hidden_weight, input_bias, hidden_bias = _parameters(recurrent, layer)
        weight = torch.cat([input_weight, hidden_weight], dim=1)
        # torch's order is i, f, g, o. Here g is last, so that one sigmoid covers the gates.
        self._linear = PackedLinear(_gates_first(weight), _gates_first(input_bias + hidden_bias))

    def step(self, input_BI: Tensor, state: CellState) -> CellState:
        hidden_BH, cell_BH = state
        width = hidden_BH.shape[1]
        values = self._linear(torch.cat([input_BI, hidden_BH], dim=1))
        gates = values[:, : 3 * width].sigmoid_()
        candidate_BH = values[:, 3 * width :].tanh_()
        input_BH, forget_BH, output_BH = gates.split(width, dim=1)
        next_cell_BH = (forget_BH * cell_BH).addcmul_(input_BH, candidate_BH)
        return (next_cell_BH.tanh().mul_(output_BH), next_cell_BH)


CELL_LAYERS: dict[str, type[ElmanLayer | GruLayer | LstmLayer]] = {
    "elman": ElmanLayer,
    "gru": GruLayer,
    "lstm": LstmLayer,
}


def _parameters(recurrent: nn.RNNBase, layer: int) -> list[Tensor]:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(recurrent, f"{name}_l{layer}").detach() for name in names]


def _gates_first(values: Tensor) -> Tensor:
    input_gate, forget_gate, candidate, output_gate = values.chunk(4)
    return torch.cat([input_gate, forget_gate, output_gate, candidate])
