"""Gradient flow of untrained networks: by the spectral radius of W_h, and by initialization.

With small inputs tanh is nearly linear, so G(k) / G(0) is about the k-th power of the spectral
radius of an Elman network: it vanishes below 1 and explodes above 1 (Pascanu et al., 2013).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from model.networks import LanguageModel
from training.analysis.clipping_comparison import scale_to_radius
from training.analysis.excerpts import Excerpts
from training.analysis.gradient_flow import GradientFlow, gradient_flow
from training.analysis.networks import build_small_network
from training.config.gradients import INITIALIZATIONS, GradientRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialFlow:
    """The flow through an untrained network of one layer.

    ``radius`` is the spectral radius that the hidden-to-hidden weights were scaled to, None if they
    are as ``initialization`` gives them.
    """

    cell: str
    initialization: str
    radius: float | None
    flow: GradientFlow


def flow_by_radius(
    recipe: GradientRecipe, vocabulary: int, excerpts: Excerpts, on_flow: Callable[[], None]
) -> list[InitialFlow]:
    """The flow through an Elman network at each spectral radius of the recipe, ascending.

    ``on_flow`` is called after each of them.
    """
    flows = []
    for radius in sorted(set(recipe.radii)):
        network = build_small_network("elman", vocabulary, recipe)
        assert isinstance(network, LanguageModel)
        scale_to_radius(network, radius)
        (flow,) = gradient_flow(network, excerpts, recipe.lags)
        flows.append(
            InitialFlow(
                cell="elman", initialization=recipe.initialization, radius=radius, flow=flow
            )
        )
        on_flow()
    return flows


def flow_by_initialization(
    recipe: GradientRecipe, vocabulary: int, excerpts: Excerpts, on_flow: Callable[[], None]
) -> list[InitialFlow]:
    """The flow through each chosen cell with gates or W_h, with each initialization.

    ``on_flow`` is called after each of them.
    """
    flows = []
    for initialization in INITIALIZATIONS:
        for cell in recipe.initialized_cells:
            variant = replace(recipe, initialization=initialization)
            network = build_small_network(cell, vocabulary, variant)
            (flow,) = gradient_flow(network, excerpts, recipe.lags)
            flows.append(
                InitialFlow(cell=cell, initialization=initialization, radius=None, flow=flow)
            )
            on_flow()
    return flows
