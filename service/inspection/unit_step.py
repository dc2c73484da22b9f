"""The arithmetic of one unit in one step: every term of the cell's formulas as a number.

Letters are those of the formulas in the documentation: ``h`` of an Elman cell; ``r``, ``z`` and
``g`` of a GRU; ``i``, ``f``, ``g`` and ``o`` of an LSTM.

Shapes: T steps, F features, H hidden, G gates side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.architecture import Cell
from model.networks import LanguageModel
from model.recurrent import layer_weights
from model.state import State
from service.inspection.activations import next_state, read_tokens
from service.inspection.cancellation import Cancellation

# By the order of torch's rows.
LETTERS: dict[Cell, str] = {"elman": "h", "gru": "rzg", "lstm": "ifgo"}
GATES = {"r": "reset", "z": "update", "i": "input", "f": "forget", "o": "output"}


class Term(NamedTuple):
    """One part of the cell for one unit.

    ``read`` is W_x x, ``recalled`` is W_h h; ``read_bias`` and ``recalled_bias`` are torch's b_ih
    and b_hh. ``value`` is the sigmoid of their sum, of ``h`` and ``g`` the hyperbolic tangent; the
    reset gate multiplies ``recalled + recalled_bias`` of a GRU's ``g``.
    """

    letter: str
    read: float
    recalled: float
    read_bias: float
    recalled_bias: float
    value: float


class UnitStep(NamedTuple):
    """One unit before and after a step; ``cell`` values are those of an LSTM."""

    terms: list[Term]
    hidden_before: float
    cell_before: float | None
    hidden: float
    cell: float | None


@torch.no_grad()
def unit_step(
    network: LanguageModel,
    tokens_T: Tensor,
    state: State,
    layer: int,
    unit: int,
    cancellation: Cancellation,
) -> UnitStep:
    """The step that reads the last of ``tokens_T``, of one unit.

    Args:
        network: without dropout, on the processor.
        tokens_T: token ids, at least two.
        state: of one row, before the first token.
        layer: from 0.
        unit: from 0.
        cancellation: checked between the parts of the work.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    layers = read_tokens(network, tokens_T, state, cancellation)
    below_TF = layers[layer - 1].hidden_TH if layer > 0 else network.embedding(tokens_T[-1:])
    own = layers[layer]
    cell = network.architecture.cell
    terms = _terms(network, layer, unit, below_TF[-1], own.hidden_TH[-2])
    gates = {GATES.get(term.letter, "candidate"): torch.tensor([[term.value]]) for term in terms}
    hidden_11 = own.hidden_TH[-2, unit].view(1, 1)
    cell_11 = None if own.cell_TH is None else own.cell_TH[-2, unit].view(1, 1)
    after_11, cell_after_11 = next_state(cell, gates, hidden_11, cell_11)
    return UnitStep(
        terms,
        float(hidden_11),
        None if cell_11 is None else float(cell_11),
        float(after_11),
        None if cell_after_11 is None else float(cell_after_11),
    )


def _terms(
    network: LanguageModel, layer: int, unit: int, values_F: Tensor, hidden_H: Tensor
) -> list[Term]:
    cell = network.architecture.cell
    weights = layer_weights(network.recurrent, cell, layer)
    input_weight, hidden_weight, input_bias, hidden_bias = weights.tensors
    terms = []
    reset = 1.0
    for gate, letter in enumerate(LETTERS[cell]):
        row = gate * len(hidden_H) + unit
        read, read_bias = float(input_weight[row] @ values_F), float(input_bias[row])
        recalled, recalled_bias = float(hidden_weight[row] @ hidden_H), float(hidden_bias[row])
        share = reset if cell == "gru" and letter == "g" else 1.0
        total = torch.tensor(read + read_bias + share * (recalled + recalled_bias))
        value = float(total.tanh() if letter in "hg" else total.sigmoid())
        if letter == "r":
            reset = value
        terms.append(Term(letter, read, recalled, read_bias, recalled_bias, value))
    return terms
