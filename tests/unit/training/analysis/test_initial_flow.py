"""Gradient flow of untrained networks by spectral radius and by initialization."""

from __future__ import annotations

from tests.support.training.analyzed_network import WORDS, draw
from training.analysis.initial_flow import flow_by_initialization, flow_by_radius
from training.config.gradients import GradientRecipe

RECIPE = GradientRecipe(hidden=16, embedding=8, lags=15, radii=(8.0, 0.2, 1.0, 0.2))


def test_the_gradient_vanishes_below_and_explodes_above_a_radius() -> None:
    """One flow for each radius, ascending; a larger radius has a larger gradient at every lag."""
    done = list[None]()
    flows = flow_by_radius(RECIPE, WORDS.size, draw(30), lambda: done.append(None))
    assert [flow.radius for flow in flows] == [0.2, 1.0, 8.0]
    assert len(done) == 3
    for flow in flows:
        assert abs(flow.flow.scalars["spectral_radius"] - (flow.radius or 0)) < 1e-5
    ratios = [flow.flow.hidden[15] / flow.flow.hidden[0] for flow in flows]
    assert ratios[0] < 1e-9
    assert ratios[0] < ratios[1] < 1 < ratios[2]


def test_orthogonal_weights_keep_more_of_the_gradient() -> None:
    """Every cell with both initializations; additive recurrences have their own start."""
    flows = flow_by_initialization(RECIPE, WORDS.size, draw(30), lambda: None)
    kept = {
        (flow.cell, flow.initialization): (flow.flow.cell or flow.flow.hidden)[15]
        / (flow.flow.cell or flow.flow.hidden)[0]
        for flow in flows
    }
    assert len(kept) == 6
    for cell in ("elman", "lstm"):
        assert kept[cell, "orthogonal"] > 10 * kept[cell, "torch"]
