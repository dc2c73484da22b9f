"""The networks of `gradients`: language models of any cell, and an additive recurrence.

The functions of this module give one interface to both. Shapes: T time steps, B rows, E embedding,
H hidden units, V vocabulary.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from model.architecture import Cell, LanguageModelArchitecture
from model.inspection import LayerStep, inspect
from model.networks import LanguageModel
from model.state import State
from training.config.gradients import GradientRecipe

ADDITIVE = "additive"


class AdditiveLanguageModel(nn.Module):
    """A language model with the recurrence h_t = h_(t-1) + tanh(W x_t + b).

    Its gradient with respect to the state is equal at every lag for any weights, so it is the
    reference for the other cells. It cannot be saved as an artifact.
    """

    def __init__(self, *, vocabulary: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.feature = nn.Linear(embedding, hidden)
        self.initial_hidden_H = nn.Parameter(torch.zeros(hidden))
        self.output = nn.Linear(hidden, vocabulary)
        nn.init.zeros_(self.output.bias)

    def hidden_states(self, tokens_TB: Tensor) -> Tensor:
        """States (T, B, H) from the learned initial state."""
        return self.initial_hidden_H + self._features(tokens_TB).cumsum(dim=0)

    def steps(self, tokens_TB: Tensor, hidden_BH: Tensor) -> list[LayerStep]:
        """States from a given one, each a separate tensor, so that autograd gives its gradient."""
        steps = []
        for feature_BH in self._features(tokens_TB):
            hidden_BH = hidden_BH + feature_BH
            steps.append(LayerStep(hidden_BH, None, {}))
        return steps

    def logits(self, hidden_TBH: Tensor) -> Tensor:
        """Unnormalized log-probabilities (..., V) of the next token."""
        return self.output(hidden_TBH)  # type: ignore[no-any-return]

    def _features(self, tokens_TB: Tensor) -> Tensor:
        return torch.tanh(self.feature(self.embedding(tokens_TB)))


InspectedNetwork = LanguageModel | AdditiveLanguageModel


def build_small_network(name: str, vocabulary: int, recipe: GradientRecipe) -> InspectedNetwork:
    """A network with one recurrent layer, of the cell ``name`` or ``ADDITIVE``.

    With ``initialization="torch"``, recurrent weights and biases are uniform between -1/sqrt(H) and
    1/sqrt(H), as torch initializes them.
    """
    torch.manual_seed(recipe.seed)
    if name == ADDITIVE:
        return AdditiveLanguageModel(
            vocabulary=vocabulary, embedding=recipe.embedding, hidden=recipe.hidden
        )
    network = LanguageModel(
        LanguageModelArchitecture(
            cell=cast("Cell", name),
            vocabulary=vocabulary,
            embedding=recipe.embedding,
            hidden=recipe.hidden,
            layers=1,
        )
    )
    if recipe.initialization == "torch":
        network.recurrent.reset_parameters()
    return network


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
