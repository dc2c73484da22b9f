"""The networks of `gradients`: language models of any cell, and additive recurrences.

The functions of this module give one interface to both. Shapes: T time steps, B rows, E embedding,
H hidden units, V vocabulary.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.architecture import Cell, LanguageModelArchitecture
from model.inspection import LayerStep, inspect
from model.networks import LanguageModel
from model.state import State
from training.config.gradients import ADDITIVE, SUM, GradientRecipe


class AdditiveLanguageModel(nn.Module):
    """A language model with the recurrence h_t = h_(t-1) + g(h_(t-1), x_t).

    With ``recurrent``, g(h, x) = tanh(W_h h + W_x x + b), so dh_t / dh_(t-1) = 1 + dg/dh; W_h
    starts at 0. Without
    it, g(x) = tanh(W_x x + b), and the gradient with respect to the state is the same at every lag
    for any weights. Neither can be saved as an artifact.
    """

    def __init__(self, *, vocabulary: int, embedding: int, hidden: int, recurrent: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.feature = nn.Linear(embedding, hidden)
        self.initial_hidden_H = nn.Parameter(torch.zeros(hidden))
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.zeros_(self.output.bias)
        self.weight_HH: nn.Parameter | None = None
        if recurrent:
            # The derivative is exactly 1 at first. With torch's weights 1 + dg/dh would multiply
            # the state by up to 1.6 at every step, and the network hardly learns.
            self.weight_HH = nn.Parameter(torch.zeros(hidden, hidden))

    def hidden_states(self, tokens_TB: Tensor) -> Tensor:
        """States (T, B, H) from the learned initial state."""
        if self.weight_HH is None:
            inputs_TBH = torch.tanh(self.feature(self.embedding(tokens_TB)))
            return self.initial_hidden_H + inputs_TBH.cumsum(dim=0)
        initial_BH = self.initial_hidden_H.expand(tokens_TB.shape[1], -1)
        return torch.stack([step.hidden_BH for step in self.steps(tokens_TB, initial_BH)])

    def steps(self, tokens_TB: Tensor, hidden_BH: Tensor) -> list[LayerStep]:
        """States from a given one, each a separate tensor, so that autograd gives its gradient."""
        steps = []
        for input_BH in self.feature(self.embedding(tokens_TB)):
            change_BH = input_BH
            if self.weight_HH is not None:
                change_BH = change_BH + functional.linear(hidden_BH, self.weight_HH)
            hidden_BH = hidden_BH + torch.tanh(change_BH)
            steps.append(LayerStep(hidden_BH, None, {}))
        return steps

    def logits(self, hidden_TBH: Tensor) -> Tensor:
        """Unnormalized log-probabilities (..., V) of the next token."""
        return self.output(hidden_TBH)  # type: ignore[no-any-return]


InspectedNetwork = LanguageModel | AdditiveLanguageModel


def build_small_network(name: str, vocabulary: int, recipe: GradientRecipe) -> InspectedNetwork:
    """A network with one recurrent layer, of the cell ``name``, of ``ADDITIVE`` or of ``SUM``.

    With ``initialization="torch"``, recurrent weights and biases are uniform between -1/sqrt(H) and
    1/sqrt(H), as torch initializes them.
    """
    torch.manual_seed(recipe.seed)
    if name in (ADDITIVE, SUM):
        return AdditiveLanguageModel(
            vocabulary=vocabulary,
            embedding=recipe.embedding,
            hidden=recipe.hidden,
            recurrent=name == ADDITIVE,
        )
    model = LanguageModel(
        LanguageModelArchitecture(
            cell=cast("Cell", name),
            vocabulary=vocabulary,
            embedding=recipe.embedding,
            hidden=recipe.hidden,
            layers=1,
        )
    )
    if recipe.initialization == "torch":
        model.recurrent.reset_parameters()
    return model


def hidden_states(network: InspectedNetwork, tokens_TB: Tensor) -> Tensor:
    """States (T, B, H) of the last layer from the learned initial state, by the fused kernels."""
    if isinstance(network, AdditiveLanguageModel):
        return network.hidden_states(tokens_TB)
    return network.encode(tokens_TB, network.initial_state(tokens_TB.shape[1])).raw_TBH


def steps_by_layer(network: InspectedNetwork, tokens_TB: Tensor) -> list[list[LayerStep]]:
    """Every step of every layer, lowest layer first.

    The initial state is a leaf of the autograd graph, so the steps have gradients even if no
    parameter requires one.
    """
    rows = tokens_TB.shape[1]
    if isinstance(network, AdditiveLanguageModel):
        return [network.steps(tokens_TB, _leaf(network.initial_hidden_H.expand(rows, -1)))]
    state = network.initial_state(rows)
    cell_LBH = None if state.cell_LBH is None else _leaf(state.cell_LBH)
    return inspect(network, tokens_TB, State(_leaf(state.hidden_LBH), cell_LBH))


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()
