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


class WordGradients(NamedTuple):
    """The gradient of the loss of one prediction, along the T tokens that were read before it.

    ``loss``: -log p of the predicted token, in nats. ``vectors_T``: norms of the gradient with
    respect to the vector of each token. ``states_S``: norms of the gradient with respect to the
    whole recurrent state (all layers, cell states included) before the first token and after each
    of the T tokens, T + 1 numbers. ``factors_T``: the norm before a token divided by the norm after
    it, which is what ds_t / ds_(t-1) does to the gradient. Their product from the last token back
    to token t is the share of the gradient that reaches the state before t; with one Elman unit
    each is the absolute value of tanh' W_h.
    """

    loss: float
    vectors_T: Tensor
    states_S: Tensor
    factors_T: Tensor


def word_gradients(
    network: LanguageModel, tokens_T: Tensor, target: int, state: State
) -> WordGradients:
    """The gradient of -log p(target | tokens), read from a state of one row.

    Args:
        network: the language model, without dropout.
        tokens_T: token ids, at least one.
        target: the id of the token that is predicted after them.
        state: before the first token.
    """
    with torch.enable_grad():
        vectors_TE = network.embedding(tokens_T).detach().requires_grad_()
        carried = [_carried(network, state)]
        for vector_E in vectors_TE:
            carried.append(_next_carried(network, vector_E.unsqueeze(0), carried[-1]))
        logits_1V = network.logits(carried[-1][-1].hidden_BH)
        loss = -logits_1V.log_softmax(dim=1)[0, target]
        parts = [_tensors(steps) for steps in carried]
        wanted = [vectors_TE, *(tensor for step in parts for tensor in step)]
        gradient_TE, *rest = torch.autograd.grad(loss, wanted, materialize_grads=True)
    width = len(parts[0])
    states = [rest[at : at + width] for at in range(0, len(rest), width)]
    states_S = torch.stack([torch.cat(parts, dim=1).norm() for parts in states])
    factors_T = (states_S[:-1] / states_S[1:]).nan_to_num(0.0, posinf=0.0)
    return WordGradients(float(loss.detach()), gradient_TE.norm(dim=1), states_S, factors_T)


def _carried(network: LanguageModel, state: State) -> list[LayerStep]:
    """The state before the first token, as leaves of the graph."""
    steps = []
    for layer in range(network.architecture.layers):
        one = state.layer(layer)
        cell_BH = None if one.cell_LBH is None else one.cell_LBH[0].detach().requires_grad_()
        steps.append(LayerStep(one.hidden_LBH[0].detach().requires_grad_(), cell_BH, {}))
    return steps


def _next_carried(
    network: LanguageModel, values_BF: Tensor, before: list[LayerStep]
) -> list[LayerStep]:
    """The state of all layers after one token.

    It is a copy: the gradient with respect to it is that of what is read later, without the way
    from a layer to the one above it in the same step.
    """
    after = []
    for layer, previous in enumerate(before):
        cell = network.architecture.cell
        input_weight, hidden_weight, input_bias, hidden_bias = layer_weights(
            network.recurrent, cell, layer
        ).tensors
        input_BG = functional.linear(values_BF, input_weight, input_bias)
        recurrent_BG = functional.linear(previous.hidden_BH, hidden_weight, hidden_bias)
        step = CELL_FUNCTIONS[cell](input_BG, recurrent_BG, previous)
        values_BF = step.hidden_BH
        cell_BH = None if step.cell_BH is None else step.cell_BH.clone()
        after.append(LayerStep(step.hidden_BH.clone(), cell_BH, {}))
    return after


def _tensors(steps: list[LayerStep]) -> list[Tensor]:
    return [part for step in steps for part in (step.hidden_BH, step.cell_BH) if part is not None]


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
