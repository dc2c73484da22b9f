"""Recurrent layers: torch's cells (Elman, 1990; GRU: Cho et al., 2014; LSTM: Hochreiter and
Schmidhuber, 1997), run one layer at a time.

``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` hold the parameters under torch's names, so weights can be
exchanged with other torch programs. Each layer is a separate call, because torch's modules offer
neither dropout that is locked over time nor dropout of weights. Dropout of the hidden-to-hidden
weights is applied to the arguments of the call, so no parameter is replaced.

Shape suffixes: T time, B rows, F features, H hidden, L layers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.architecture import Cell
from model.state import State

TORCH_MODULES: dict[str, type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]] = {
    "elman": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


class Segment(NamedTuple):
    """Time steps ``begin`` up to ``end``; the rows in ``starts_B`` begin a document there."""

    begin: int
    end: int
    starts_B: Tensor | None


class LayerWeights(NamedTuple):
    """The parameters of one layer in one direction, in the order of torch's functions."""

    cell: Cell
    tensors: list[Tensor]

    def run(self, values_TBF: Tensor, state: State) -> tuple[Tensor, State]:
        """Runs the layer over (T, B, F) from a one-layer state.

        Returns:
            The hidden states (T, B, H) of all time steps, and the final state.
        """
        train = torch.is_grad_enabled()
        options = (True, 1, 0.0, train, False, False)
        if self.cell == "lstm":
            initial = [state.hidden_LBH, _present(state.cell_LBH)]
            out_TBH, hidden_1BH, cell_1BH = torch.lstm(values_TBF, initial, self.tensors, *options)
            return out_TBH, State(hidden_1BH, cell_1BH)
        function = torch.gru if self.cell == "gru" else torch.rnn_tanh
        out_TBH, hidden_1BH = function(values_TBF, state.hidden_LBH, self.tensors, *options)
        return out_TBH, State(hidden_1BH)


def build_recurrent(
    cell: Cell, inputs: int, hidden: int, layers: int, *, bidirectional: bool = False
) -> nn.RNNBase:
    """A torch module, time first, with orthogonal recurrent weights and a forget bias of 1.

    Orthogonal recurrent weights: Saxe et al., 2014; forget bias: Jozefowicz et al., 2015.
    """
    module = TORCH_MODULES[cell](inputs, hidden, layers, bidirectional=bidirectional)
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
    """The parameters of one layer.

    Args:
        recurrent: the torch module.
        cell: of the module.
        layer: index from 0, lowest first.
        reverse: take the backward direction.
        drop: probability that a hidden-to-hidden weight is zero.
    """
    suffix = f"_l{layer}_reverse" if reverse else f"_l{layer}"
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    input_weight, hidden_weight, *biases = (getattr(recurrent, name + suffix) for name in names)
    if drop > 0.0:
        # As torch's dropout, but rand is three times as fast as bernoulli.
        hidden_weight = hidden_weight * (torch.rand_like(hidden_weight) >= drop) / (1.0 - drop)
    return LayerWeights(cell, [input_weight, hidden_weight, *biases])


def segments_between_starts(steps: int, starts_TB: Tensor | None) -> list[Segment]:
    """Splits ``steps`` time steps wherever a document begins in any row.

    The state of that row can be replaced there exactly, at the cost of one call per segment.
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
    initial: State,
    segments: list[Segment],
) -> tuple[Tensor, State]:
    """Runs one layer over all segments; rows that begin a document continue from ``initial``.

    Returns:
        The hidden states (T, B, H) of all time steps, and the final state.
    """
    outputs = []
    for segment in segments:
        if segment.starts_B is not None:
            state = state.select(segment.starts_B, initial)
        output_TBH, state = weights.run(values_TBF[segment.begin : segment.end], state)
        outputs.append(output_TBH)
    return (outputs[0] if len(outputs) == 1 else torch.cat(outputs)), state


def _present(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise ValueError("expected an LSTM state with cell states, got hidden states only")
    return tensor
