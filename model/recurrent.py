"""The recurrent layers: torch's own cells, run one layer at a time.

``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` hold the parameters under torch's own names, so that weights
can be taken to and from any other torch program. Each layer is called by itself because dropout
between layers and on weights has to be locked over time, which torch's modules do not offer. The
hidden-to-hidden weights are dropped on the way into the call; nothing is registered or replaced,
so no parametrisation can silently stop a weight from learning. Knows no vocabulary and no task.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.architecture import Cell
from model.state import State

MODULES: dict[str, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {
    "elman": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


class Segment(NamedTuple):
    """A stretch of time steps; before it, the rows marked in ``starts_B`` begin a new document."""

    begin: int
    end: int
    starts_B: Tensor | None


class LayerWeights(NamedTuple):
    """The parameters of one layer in one direction, in the order torch's functions take them."""

    cell: Cell
    tensors: list[Tensor]

    def run(self, values_TBF: Tensor, state: State) -> tuple[Tensor, State]:
        """Reads (time, rows, features) from a one-layer state: hidden states and the last state."""
        train = torch.is_grad_enabled()
        options = (True, 1, 0.0, train, False, False)
        if self.cell == "lstm":
            before = [state.hidden_LBH, _present(state.cell_LBH)]
            out_TBH, hidden_1BH, cell_1BH = torch.lstm(values_TBF, before, self.tensors, *options)
            return out_TBH, State(hidden_1BH, cell_1BH)
        function = torch.gru if self.cell == "gru" else torch.rnn_tanh
        out_TBH, hidden_1BH = function(values_TBF, state.hidden_LBH, self.tensors, *options)
        return out_TBH, State(hidden_1BH)


def build_recurrent(
    cell: Cell, inputs: int, hidden: int, layers: int, *, bidirectional: bool = False
) -> nn.RNNBase:
    """A torch module, time first, with orthogonal recurrent weights and a forget bias of 1."""
    module = MODULES[cell](inputs, hidden, layers, bidirectional=bidirectional)
    for name, parameter in module.named_parameters():
        if name.startswith("weight_hh"):
            for gate_HH in parameter.detach().split(hidden):
                nn.init.orthogonal_(gate_HH)
        elif name.startswith("bias"):
            nn.init.zeros_(parameter)
    if cell == "lstm":
        for name, parameter in module.named_parameters():
            if name.startswith("bias_ih"):  # gates in torch's order: input, forget, cell, output
                nn.init.ones_(parameter.detach()[hidden : 2 * hidden])
    return module


def layer_weights(
    recurrent: nn.RNNBase, cell: Cell, layer: int, *, reverse: bool = False, drop: float = 0.0
) -> LayerWeights:
    """One layer's parameters; ``drop`` zeroes that share of its hidden-to-hidden weights."""
    suffix = f"_l{layer}_reverse" if reverse else f"_l{layer}"
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    input_weight, hidden_weight, *biases = (getattr(recurrent, name + suffix) for name in names)
    if drop > 0.0:
        # As torch's dropout, but with numbers that are three times as fast to draw.
        hidden_weight = hidden_weight * (torch.rand_like(hidden_weight) >= drop) / (1.0 - drop)
    return LayerWeights(cell, [input_weight, hidden_weight, *biases])


def segments_between_starts(steps: int, starts_TB: Tensor | None) -> list[Segment]:
    """Cuts a window wherever any row begins a document, so that its state can be replaced there.

    Exact at every border, at the price of one call for each stretch between borders.
    """
    if starts_TB is None:
        return [Segment(0, steps, None)]
    marked = starts_TB.any(dim=1).nonzero().flatten().tolist()
    bounds = sorted({0, *marked, steps})
    return [
        Segment(begin, end, starts_TB[begin] if begin in marked else None)
        for begin, end in pairwise(bounds)
    ]


def run_segments(
    weights: LayerWeights,
    values_TBF: Tensor,
    state: State,
    first: State,
    segments: list[Segment],
) -> tuple[Tensor, State]:
    """Runs one layer over a window; rows that begin a document continue from ``first``."""
    parts = []
    for segment in segments:
        if segment.starts_B is not None:
            state = state.select(segment.starts_B, first)
        part_TBH, state = weights.run(values_TBF[segment.begin : segment.end], state)
        parts.append(part_TBH)
    return (parts[0] if len(parts) == 1 else torch.cat(parts)), state


def _present(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise ValueError("an LSTM needs a state with a cell, this one has only hidden states")
    return tensor
