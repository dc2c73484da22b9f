"""Vanishing and exploding gradients by spectral radius, and clipping."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.ticker import LogLocator

from model.networks import LanguageModel
from training.analysis.clipping_comparison import compare_clipping, scale_to_radius
from training.analysis.corpus import AnalysisCorpus, read_corpus
from training.analysis.initial_flow import flow_by_radius
from training.analysis.networks import build_small_network
from training.analysis.short_training import ShortTrainingSettings, TrainingCurve
from training.config.gradients import GradientRecipe
from training.reports.plotting import AMBER, BLUE, GREEN, PURPLE, RED, format_powers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Gradients that vanish, that explode, and that are clipped"
COLORS = (BLUE, GREEN, PURPLE, AMBER, RED)
CLIPPING = {"none": RED, "norm": BLUE, "value": GREEN}
LAGS = 20
RADII = (0.5, 0.8, 1.0, 1.2, 2.0)


def measure(quick: bool) -> dict[str, Any]:
    """G(k) / G(0) by radius, and losses of three training runs from a large radius."""
    recipe = GradientRecipe(
        cells="elman", radii=RADII[::4] if quick else RADII, lags=LAGS, context=41, length=32
    )
    corpus = read_corpus(recipe, None)
    source = corpus.held_out_excerpts(recipe)
    excerpts = source.draw(64, np.random.default_rng(2)).last(2 * LAGS)
    radii = {}
    for one in flow_by_radius(recipe, corpus.vocabulary, excerpts, lambda: None):
        norms = one.flow.hidden
        radii[str(one.radius)] = [float(f"{norm / norms[0]:.4g}") for norm in norms]
    curves = _clipping(recipe, corpus, 20 if quick else 100)
    return {
        "radii": radii,
        "losses": {name: [round(x, 4) for x in c.losses] for name, c in curves.items()},
        "largest_norm": {name: float(f"{max(c.norms):.3g}") for name, c in curves.items()},
        "largest_loss": {name: round(max(c.losses), 3) for name, c in curves.items()},
        "smallest_cosine": {name: round(min(c.cosines), 4) for name, c in curves.items()},
    }


def _clipping(
    recipe: GradientRecipe, corpus: AnalysisCorpus, steps: int
) -> dict[str, TrainingCurve]:
    torch.manual_seed(0)
    network = build_small_network("elman", corpus.vocabulary, recipe)
    assert isinstance(network, LanguageModel)
    scale_to_radius(network, 4.0)
    settings = ShortTrainingSettings(
        steps=steps,
        batch=recipe.batch,
        learning_rate=2.0,
        optimizer="sgd",
        clip_norm=1.0,
        clip_value=0.05,
        seed=0,
    )
    return compare_clipping(network, corpus.training_excerpts(recipe), settings, lambda _: None)


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Straight lines by radius beside the losses."""
    left, right = figure.subplots(1, 2)
    for (radius, values), color in zip(numbers["radii"].items(), COLORS, strict=False):
        left.semilogy(values, color=color)
        left.annotate(
            radius,
            (len(values) - 1, values[-1]),
            xytext=(4, -4),
            textcoords="offset points",
            color=color,
        )
    left.yaxis.set_major_locator(LogLocator(100, numticks=12))
    format_powers(left.yaxis)
    left.set_xticks(range(0, LAGS + 1, 5))
    left.set_xlim(0, LAGS + 3)
    left.set_xlabel("steps back k")
    left.set_title("gradient at h(T-k), by spectral radius")
    for (name, losses), style in zip(numbers["losses"].items(), ("-", "-", "--"), strict=True):
        label = "without clipping" if name == "none" else f"clipped by {name}"
        right.plot(losses, style, color=CLIPPING[name], label=label)
    right.set_xlabel("training step")
    right.set_title("loss from spectral radius 4 (nats)")
    right.legend()


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    last = [values[-1] for values in numbers["radii"].values()]
    largest, cosine = numbers["largest_loss"], numbers["smallest_cosine"]
    return {
        "the gradient rises with the radius": last == sorted(last),
        "it vanishes below 1 and explodes above": last[0] < 1e-4 and last[-1] > 1,
        "training without clipping is thrown out": largest["none"] > 2 * largest["norm"],
        "clipping by norm keeps the direction": cosine["norm"] > 0.999,
        "clipping by value turns it": cosine["value"] < 0.99,
    }
