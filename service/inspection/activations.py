"""Hidden states, cell states and gates of every layer for one text, by option with clamped units.

Without clamped units a layer is computed with torch's fused recurrence; the gates follow from the
hidden states in one matrix product, since every hidden state is known by then. With clamped units
each step is computed by itself, because a clamped value changes all later steps.

Shapes: T steps, F features, H hidden, G gates side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from model.architecture import Cell
from model.networks import LanguageModel
from model.recurrent import LayerWeights, layer_weights
from model.state import State
from service.inspection.cancellation import Cancellation
from service.inspection.queries import Clamp

CHUNK_STEPS = 64  # between two checks for cancellation


@dataclass(frozen=True, slots=True)
class LayerActivations:
    """One layer after each of T steps. ``cell_TH`` is that of an LSTM.

    ``gates`` holds (T, H) by name: ``input``, ``forget``, ``output`` and ``candidate`` of an LSTM;
    ``reset``, ``update`` and ``candidate`` of a GRU. The update gate is torch's: the share of the
    old state that is kept.
    """

    hidden_TH: Tensor
    cell_TH: Tensor | None
    gates: dict[str, Tensor]


@torch.no_grad()
def read_tokens(
    network: LanguageModel,
    tokens_T: Tensor,
    state: State,
    cancellation: Cancellation,
    *,
    clamps: Sequence[Clamp] = (),
    gates: bool = False,
) -> list[LayerActivations]:
    """Activations of every layer, lowest first, while the network reads on from ``state``.

    Args:
        network: without dropout, on the processor.
        tokens_T: token ids, at least one.
        state: of one row.
        cancellation: checked every ``CHUNK_STEPS`` steps.
        clamps: units or gates that are held at a value.
        gates: whether the gates are wanted too.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    architecture = network.architecture
    values_TF = network.embedding(tokens_T)
    layers = []
    for layer in range(architecture.layers):
        weights = layer_weights(network.recurrent, architecture.cell, layer)
        held = [clamp for clamp in clamps if clamp.layer == layer]
        read = _read_stepwise if held else _read_fused
        activations = read(weights, values_TF, state.layer(layer), cancellation, held)
        layers.append(activations if gates else _without_gates(activations))
        values_TF = activations.hidden_TH
    return layers


def state_at(layers: Sequence[LayerActivations], step: int) -> State:
    """The state of one row after the step with this index."""
    hidden_L1H = torch.stack([layer.hidden_TH[step] for layer in layers]).unsqueeze(1)
    cells = [layer.cell_TH[step] for layer in layers if layer.cell_TH is not None]
    return State(hidden_L1H, torch.stack(cells).unsqueeze(1) if cells else None)


def states_at(layers: Sequence[LayerActivations], steps: Sequence[int]) -> State:
    """The states after several steps, one row for each."""
    index = torch.as_tensor(steps, dtype=torch.long)
    hidden_LBH = torch.stack([layer.hidden_TH[index] for layer in layers])
    cells = [layer.cell_TH[index] for layer in layers if layer.cell_TH is not None]
    return State(hidden_LBH, torch.stack(cells) if cells else None)


def _without_gates(activations: LayerActivations) -> LayerActivations:
    return LayerActivations(activations.hidden_TH, activations.cell_TH, {})


def _read_fused(
    weights: LayerWeights,
    values_TF: Tensor,
    state: State,
    cancellation: Cancellation,
    _: Sequence[Clamp],
) -> LayerActivations:
    parts = []
    for begin in range(0, len(values_TF), CHUNK_STEPS):
        cancellation.check()
        chunk_TF = values_TF[begin : begin + CHUNK_STEPS]
        hidden_T1H, after = weights.run(chunk_TF.unsqueeze(1), state)
        hidden_TH = hidden_T1H.squeeze(1)
        before_TH = torch.cat([state.hidden_LBH[0], hidden_TH[:-1]])
        gates = gate_values(weights, chunk_TF, before_TH)
        # Cells are followed from torch's own at the chunk's beginning, so that no error adds up.
        cell_H = None if state.cell_LBH is None else state.cell_LBH[0, 0]
        parts.append(LayerActivations(hidden_TH, _cells(gates, cell_H), gates))
        state = after
    return _joined(parts)


def _joined(parts: Sequence[LayerActivations]) -> LayerActivations:
    cells = [part.cell_TH for part in parts if part.cell_TH is not None]
    return LayerActivations(
        torch.cat([part.hidden_TH for part in parts]),
        torch.cat(cells) if cells else None,
        {name: torch.cat([part.gates[name] for part in parts]) for name in parts[0].gates},
    )


def _cells(gates: dict[str, Tensor], cell_H: Tensor | None) -> Tensor | None:
    """The cell states of an LSTM from its gates."""
    if cell_H is None:
        return None
    added_TH = gates["input"] * gates["candidate"]
    cells = []
    for forget_H, added_H in zip(gates["forget"], added_TH, strict=True):
        cell_H = forget_H * cell_H + added_H
        cells.append(cell_H)
    return torch.stack(cells)


def _read_stepwise(
    weights: LayerWeights,
    values_TF: Tensor,
    state: State,
    cancellation: Cancellation,
    clamps: Sequence[Clamp],
) -> LayerActivations:
    hidden_1H = state.hidden_LBH[0]
    cell_1H = None if state.cell_LBH is None else state.cell_LBH[0]
    steps = []
    for index, values_F in enumerate(values_TF):
        if index % CHUNK_STEPS == 0:
            cancellation.check()
        gates = gate_values(weights, values_F[None], hidden_1H)
        hidden_1H, cell_1H = next_state(weights.cell, gates, hidden_1H, cell_1H, clamps)
        steps.append(LayerActivations(hidden_1H, cell_1H, gates))
    return _joined(steps)


def next_state(
    cell: Cell,
    gates: dict[str, Tensor],
    hidden_BH: Tensor,
    cell_BH: Tensor | None,
    clamps: Sequence[Clamp] = (),
) -> tuple[Tensor, Tensor | None]:
    """Hidden and cell state after a step, given its gates and the state before it.

    Clamped gates are set in ``gates``.
    """
    for name, values_BH in gates.items():
        _hold(values_BH, clamps, name)
    if cell == "lstm":
        assert cell_BH is not None, "an LSTM has a cell state"
        cell_BH = gates["forget"] * cell_BH + gates["input"] * gates["candidate"]
        _hold(cell_BH, clamps, "cell")
        hidden_BH = gates["output"] * torch.tanh(cell_BH)
    elif cell == "gru":
        hidden_BH = (1 - gates["update"]) * gates["candidate"] + gates["update"] * hidden_BH
    else:
        hidden_BH = gates["candidate"].clone()
    _hold(hidden_BH, clamps, "hidden")
    return hidden_BH, cell_BH


def _hold(values_BH: Tensor, clamps: Sequence[Clamp], signal: str) -> None:
    for clamp in clamps:
        if clamp.signal == signal:
            values_BH[:, slice(None) if clamp.unit is None else clamp.unit] = clamp.value


def gate_values(weights: LayerWeights, values_TF: Tensor, before_TH: Tensor) -> dict[str, Tensor]:
    """Gates and candidates (T, H) from what a layer reads and the hidden states before each step.

    The candidate of an Elman network is its new hidden state. Sources: Hochreiter and Schmidhuber
    (1997) with the forget gate of Gers et al. (2000); Cho et al. (2014) in torch's variant.
    """
    input_weight, hidden_weight, input_bias, hidden_bias = weights.tensors
    read_TG = functional.linear(values_TF, input_weight, input_bias)
    recalled_TG = functional.linear(before_TH, hidden_weight, hidden_bias)
    if weights.cell == "elman":
        return {"candidate": torch.tanh(read_TG + recalled_TG)}
    if weights.cell == "gru":
        read_reset, read_update, read_new = read_TG.chunk(3, dim=1)
        recalled_reset, recalled_update, recalled_new = recalled_TG.chunk(3, dim=1)
        reset_TH = torch.sigmoid(read_reset + recalled_reset)
        update_TH = torch.sigmoid(read_update + recalled_update)
        return {
            "reset": reset_TH,
            "update": update_TH,
            "candidate": torch.tanh(read_new + reset_TH * recalled_new),
        }
    input_TH, forget_TH, candidate_TH, output_TH = (read_TG + recalled_TG).chunk(4, dim=1)
    return {
        "input": torch.sigmoid(input_TH),
        "forget": torch.sigmoid(forget_TH),
        "output": torch.sigmoid(output_TH),
        "candidate": torch.tanh(candidate_TH),
    }
