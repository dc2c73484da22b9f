"""The networks that `python -m training gradients` looks into, read in one way whatever they are.

Language models of any cell, and the additive recurrence that stands beside them. Shape suffixes:
T time, B rows, H hidden. Knows neither text nor what is measured.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from model.architecture import Cell, LanguageModelArchitecture
from model.inspection import Step, inspect
from model.networks import LanguageModel
from model.state import State
from training.analysis.additive_network import AdditiveLanguageModel
from training.config.gradients import GradientRecipe

InspectedNetwork = LanguageModel | AdditiveLanguageModel
ADDITIVE = "additive"


def build_small_network(name: str, vocabulary: int, recipe: GradientRecipe) -> InspectedNetwork:
    """One recurrent layer of that cell, or the additive recurrence; the seed decides its weights.

    torch's own initialization draws all weights and biases evenly from -1/sqrt(H) to 1/sqrt(H).
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
    """What the last layer gives (T, B, H) from the learned first state on, at full speed."""
    if isinstance(network, AdditiveLanguageModel):
        return network.hidden_states(tokens_TB)
    return network.encode(tokens_TB, network.initial_state(tokens_TB.shape[1])).raw_TBH


def steps_by_layer(network: InspectedNetwork, tokens_TB: Tensor) -> list[list[Step]]:
    """Every step of every layer, lowest first, in a graph that begins at the first state.

    So gradients can be taken even where no parameter asks for one.
    """
    rows = tokens_TB.shape[1]
    if isinstance(network, AdditiveLanguageModel):
        return [network.steps(tokens_TB, _leaf(network.initial_hidden_H.expand(rows, -1)))]
    state = network.initial_state(rows)
    cell_LBH = None if state.cell_LBH is None else _leaf(state.cell_LBH)
    return inspect(network, tokens_TB, State(_leaf(state.hidden_LBH), cell_LBH))


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_()
