"""The plots of a language model's evaluation. Knows what was found, not how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.evaluation.confidence import CERTAINTY
from training.evaluation.token_losses import Bin, FrequencyBins
from training.reports.plotting import AMBER, BLUE, GRAY, PALE, RED, draw, lay_grid, thousands
from training.runs.history import Curve, History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def frequency_plot(frequency: FrequencyBins, mean: float) -> bytes:
    """Mean loss of each bin, and beside it what share of tokens and of the loss it has."""
    bins = shown(frequency.bins)

    def paint(figure: Figure) -> None:
        losses, shares = figure.subplots(1, 2, sharey=True)
        _mean_losses(losses, bins, mean)
        _shares(shares, bins, all_bins=frequency.bins)
        losses.invert_yaxis()
        losses.set_ylabel(frequency.basis)

    return draw("Loss by the frequency of the token", paint)


def position_plot(bins: Sequence[Bin], mean: float) -> bytes:
    """Mean loss by the place in the document, with what is certain about it."""
    bins = shown(bins)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = range(len(bins))
        axes.axhline(mean, color=GRAY, linewidth=1.2, linestyle="--", label="mean of all")
        axes.errorbar(
            places,
            [part.loss for part in bins],
            yerr=_errors(bins),
            fmt="o-",
            color=BLUE,
            capsize=4,
        )
        labels = [f"{part.label}  ({part.tokens:,})" for part in bins]
        axes.set_xticks(places, labels, fontsize=10, rotation=35, ha="right")
        axes.set_xlabel("position of the token in its document (how many there are)")
        axes.set_ylabel("nats per token")
        axes.set_ylim(bottom=0)
        lay_grid(axes, "y")
        axes.legend(loc="lower right")

    return draw("Loss by the position in the document", paint)


def shown(bins: Sequence[Bin]) -> Sequence[Bin]:
    """Those that a mean can be told of; a few predictions would stretch the scale for nothing."""
    return [part for part in bins if part.error is not None] or bins


def curves_plot(history: History) -> bytes:
    """Training and validation loss over the steps, the learning rate beneath."""

    def paint(figure: Figure) -> None:
        rates = history.learning_rate.steps
        heights = [3, 1] if rates else [1]
        panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)
        panels = panels[:, 0]
        _curve(panels[0], history.training, AMBER, "training, smoothed", marker="")
        _curve(panels[0], history.validation, BLUE, "validation", marker="o")
        panels[0].set_ylabel("loss (nats)")
        panels[0].legend()
        if rates:
            _curve(panels[1], history.learning_rate, GRAY, "learning rate", marker="")
            panels[1].set_ylabel("learning rate")
            panels[1].set_ylim(bottom=0)
        panels[-1].set_xlabel("training step")
        thousands(panels[-1].xaxis)

    return draw("The course of the training", paint)


def _mean_losses(axes: Axes, bins: Sequence[Bin], mean: float) -> None:
    places = range(len(bins))
    axes.barh(
        places,
        [part.loss for part in bins],
        xerr=_errors(bins),
        color=PALE,
        error_kw={"ecolor": "#222222", "elinewidth": 1.2},
    )
    axes.axvline(mean, color=GRAY, linewidth=1.2, linestyle="--")
    axes.set_yticks(places, [part.label for part in bins])
    axes.set_xlabel("nats per token (dashed: mean of all)")
    lay_grid(axes, "x")


def _shares(axes: Axes, bins: Sequence[Bin], *, all_bins: Sequence[Bin]) -> None:
    tokens = sum(part.tokens for part in all_bins)
    loss = sum(part.tokens * part.loss for part in all_bins)
    places = range(len(bins))
    of_tokens = [100 * part.tokens / tokens for part in bins]
    of_loss = [100 * part.tokens * part.loss / loss for part in bins]
    axes.barh([place - 0.2 for place in places], of_tokens, 0.38, color=PALE, label="of the tokens")
    axes.barh([place + 0.2 for place in places], of_loss, 0.38, color=RED, label="of the loss")
    axes.set_xlabel("share (per cent)")
    lay_grid(axes, "x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _curve(axes: Axes, curve: Curve, color: str, label: str, *, marker: str) -> None:
    if curve.steps:
        axes.plot(curve.steps, curve.values, color=color, label=label, marker=marker, markersize=5)


def _errors(bins: Sequence[Bin]) -> list[float]:
    """Half of each interval; nothing is drawn where it is not known."""
    return [math.nan if part.error is None else CERTAINTY * part.error for part in bins]
