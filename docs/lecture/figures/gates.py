"""A gate as a dial: the gradient through cells that keep f of their state, and forgetting."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from model.networks import LanguageModel
from training.analysis.corpus import AnalysisCorpus, read_corpus
from training.analysis.effective_context import effective_context
from training.analysis.gradient_flow import GradientFlow, gradient_flow
from training.analysis.networks import build_small_network
from training.analysis.short_training import ShortTrainingSettings, train_short
from training.config.gradients import GradientRecipe
from training.reports.plotting import AMBER, BLACK, BLUE, GREEN, PURPLE, RED, format_powers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "From multiplying to adding, and back to forgetting"
LAGS = 20
LOWEST = 1e-7  # that is drawn
BIASES = (-3.0, 0.0, 1.0, 4.0)
COLORS = (RED, AMBER, GREEN, BLUE)
CONTEXT_CELLS = {"sum": RED, "additive": AMBER, "lstm": BLUE}


def measure(quick: bool) -> dict[str, Any]:
    """G(k) / G(0) by cell and forget bias before training; loss by context after training."""
    recipe = GradientRecipe(lags=LAGS, context=100, hidden=32, embedding=16)
    corpus = read_corpus(recipe, None)
    excerpts = corpus.held_out_excerpts(recipe).draw(64, np.random.default_rng(2))
    recent = excerpts.last(2 * LAGS)
    flow = {}
    for cell in ("elman", "additive"):
        (found,) = gradient_flow(build_small_network(cell, corpus.vocabulary, recipe), recent, LAGS)
        flow[cell] = _relative(found, "hidden")
    for bias in BIASES:
        (found,) = gradient_flow(_with_forget_bias(recipe, corpus, bias), recent, LAGS)
        flow[f"lstm, forget bias {bias:+g}"] = _relative(found, "cell")
    context: dict[str, list[float]] = {}
    tokens: list[int] = []
    for cell in CONTEXT_CELLS:
        network = build_small_network(cell, corpus.vocabulary, recipe)
        settings = ShortTrainingSettings(
            steps=5 if quick else 400, batch=32, learning_rate=0.01, clip_norm=1.0, seed=0
        )
        train_short(network, corpus.training_excerpts(recipe), settings, lambda _: None)
        by_context = effective_context(network, excerpts.last(101), lambda _: None)
        tokens = list(by_context.tokens)
        context[cell] = [round(loss, 4) for loss in by_context.losses]
    return {"flow": flow, "tokens": tokens, "context": context}


def _relative(flow: GradientFlow, kind: Literal["hidden", "cell"]) -> list[float]:
    norms = flow.hidden if kind == "hidden" else flow.cell
    assert norms is not None
    return [float(f"{norm / norms[0]:.4g}") for norm in norms]


def _with_forget_bias(recipe: GradientRecipe, corpus: AnalysisCorpus, bias: float) -> LanguageModel:
    """An untrained LSTM with the forget bias ``bias``; torch's order is i, f, g, o."""
    network = build_small_network(
        "lstm", corpus.vocabulary, replace(recipe, initialization="orthogonal")
    )
    assert isinstance(network, LanguageModel)
    with torch.no_grad():
        bias_G = network.recurrent.get_parameter("bias_ih_l0")
        bias_G[recipe.hidden : 2 * recipe.hidden] = bias
    return network


def paint(figure: Figure, numbers: dict[str, Any]) -> None:
    """Gradient by lag beside loss by context."""
    left, right = figure.subplots(1, 2)
    names = list(numbers["flow"])
    colors = [PURPLE, BLACK, *COLORS]
    styles = ["--", "--", "-", "-", "-", "-"]
    for name, color, style in zip(names, colors, styles, strict=True):
        values = numbers["flow"][name]
        left.semilogy(values, style, color=color)
        last = max(k for k, value in enumerate(values) if value > 10 * LOWEST)
        left.annotate(
            name.replace("lstm, forget bias", "bias"),
            (last, values[last]),
            xytext=(4, -4),
            textcoords="offset points",
            color=color,
        )
    left.set_xlim(0, LAGS + 9)
    left.set_ylim(LOWEST, 30)
    format_powers(left.yaxis)
    left.set_xticks(range(0, LAGS + 1, 5))
    left.set_xlabel("steps back k")
    left.set_title("gradient before training;\nLSTM by forget bias")
    for (name, losses), style in zip(numbers["context"].items(), ("-", "--", "-"), strict=True):
        label = {"sum": "h + f(x)", "additive": "h + g(h, x)", "lstm": "LSTM"}[name]
        right.semilogx(numbers["tokens"], losses, style, color=CONTEXT_CELLS[name], label=label)
    right.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.set_xlabel("words of context")
    right.set_title("loss after training (nats)")
    right.legend(loc="center right", bbox_to_anchor=(1, 0.35))


def claims(numbers: dict[str, Any]) -> dict[str, bool]:
    """What the page says about the figure."""
    by_bias = [values[-1] for name, values in numbers["flow"].items() if name.startswith("lstm")]
    total, lstm = numbers["context"]["sum"], numbers["context"]["lstm"]
    return {
        "the gradient rises with the forget bias": by_bias == sorted(by_bias),
        "an additive step keeps the gradient": abs(numbers["flow"]["additive"][-1] - 1) < 0.01,
        "an Elman step does not": numbers["flow"]["elman"][-1] < 1e-2,
        "a sum that cannot forget loses with context": total[-1] > min(total) + 0.1,
        "an LSTM does not": lstm[-1] < min(lstm) + 0.05,
    }
