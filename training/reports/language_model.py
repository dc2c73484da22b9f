"""Report sections on a language model: its loss by token frequency and by position, with plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.evaluation.confidence import Z_95
from training.evaluation.language_model import LanguageModelResults
from training.evaluation.token_losses import MIN_PREDICTIONS, FrequencyBins, LossBin
from training.reports.html import ReportTable, Section
from training.reports.plotting import BLACK, BLUE, GRAY, PALE_BLUE, RED, Plot, draw_plot, grid_along
from training.reports.training_curves import training_curves_section
from training.runs.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FREQUENCY_TITLE = "Loss by token frequency"
POSITION_TITLE = "Loss by position in the document"


def language_model_sections(results: LanguageModelResults) -> list[Section]:
    """The sections of the page, without the table of metrics."""
    sections = [_frequency(results), _position(results)]
    if results.history is not None:
        sections.append(_curves(results.history))
    return sections


def _frequency(results: LanguageModelResults) -> Section:
    bins = results.frequency.bins
    total = _total_loss(bins)
    largest = max(bins, key=lambda bin_: bin_.tokens * bin_.loss)
    return Section(
        name="loss-by-frequency",
        title=FREQUENCY_TITLE,
        text=f"Tokens are grouped by the {results.frequency.basis}. The group {largest.label} has "
        f"the largest share of the loss, {largest.tokens * largest.loss / total:.0%}. [UNK] stands "
        f"for unknown words, whose spelling is not predicted; [END] closes a document. "
        f"{_interval_note(bins)}",
        plot=_frequency_plot(results.frequency, results.metrics["loss"]),
        table=_bin_table("tokens", bins),
    )


def _position(results: LanguageModelResults) -> Section:
    bins = _with_error(results.position)
    best, last = min(bins, key=lambda bin_: bin_.loss), bins[-1]
    return Section(
        name="loss-by-position",
        title=POSITION_TITLE,
        text=f"The lowest loss is {best.loss:.2f} nats, at the positions {best.label}. At the last "
        f"positions, {last.label}, it is {last.loss:.2f} nats. If context helps, the loss "
        "falls along a document. Two effects may hide this: documents with equal beginnings have a "
        "low loss there, and the last positions occur only in the longest documents. "
        f"{_interval_note(results.position)}",
        plot=_position_plot(bins, results.metrics["loss"]),
        table=_bin_table("position", results.position),
    )


def _curves(history: History) -> Section:
    validation = history.validation
    best = validation.values.index(min(validation.values))
    return training_curves_section(
        history,
        f"The validation loss fell from {validation.values[0]:.3f} at step "
        f"{validation.steps[0]:,} to {validation.values[best]:.3f} at step "
        f"{validation.steps[best]:,}. The training loss is not comparable with it: it is smoothed, "
        "computed with dropout, and an estimate if the softmax is sampled.",
    )


def _interval_note(bins: Sequence[LossBin]) -> str:
    note = "Thin lines are 95% confidence intervals for independent predictions."
    if len(_with_error(bins)) == len(bins):
        return note
    return f"{note} Groups of fewer than {MIN_PREDICTIONS} predictions are in the table alone."


def _bin_table(heading: str, bins: Sequence[LossBin]) -> ReportTable:
    total = _total_loss(bins)
    rows = [
        (
            bin_.label,
            f"{bin_.tokens:,}",
            f"{bin_.loss:.3f}",
            "–" if bin_.error is None else f"{Z_95 * bin_.error:.3f}",
            f"{bin_.tokens * bin_.loss / total:.1%}",
        )
        for bin_ in bins
    ]
    header = (heading, "predictions", "nats per token", "± (95%)", "share of the loss")
    return ReportTable(header, rows)


def _total_loss(bins: Sequence[LossBin]) -> float:
    return sum(bin_.tokens * bin_.loss for bin_ in bins)


def _with_error(bins: Sequence[LossBin]) -> Sequence[LossBin]:
    """The bins with a standard error, if any: a mean of few predictions would stretch the scale."""
    return [bin_ for bin_ in bins if bin_.error is not None] or bins


def _frequency_plot(frequency: FrequencyBins, mean: float) -> Plot:
    """The mean loss of each bin, and its share of the tokens and of the loss."""
    bins = _with_error(frequency.bins)

    def paint(figure: Figure) -> None:
        losses, shares = figure.subplots(1, 2, sharey=True)
        _paint_losses(losses, bins, mean)
        _paint_shares(shares, bins, all_bins=frequency.bins)
        losses.invert_yaxis()
        losses.set_ylabel(frequency.basis)

    return draw_plot(FREQUENCY_TITLE, paint)


def _position_plot(bins: Sequence[LossBin], mean: float) -> Plot:
    """The mean loss at each position, with its confidence interval."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = range(len(bins))
        axes.axhline(mean, color=GRAY, linewidth=1.2, linestyle="--", label="mean")
        losses = [bin_.loss for bin_ in bins]
        axes.errorbar(places, losses, yerr=_half_widths(bins), fmt="o-", color=BLUE, capsize=4)
        labels = [f"{bin_.label}  ({bin_.tokens:,})" for bin_ in bins]
        axes.set_xticks(places, labels, fontsize=10, rotation=35, ha="right")
        axes.set_xlabel("position of the token in its document (number of tokens)")
        axes.set_ylabel("nats per token")
        axes.set_ylim(bottom=0)
        grid_along(axes, "y")
        axes.legend(loc="lower right")

    return draw_plot(POSITION_TITLE, paint)


def _paint_losses(axes: Axes, bins: Sequence[LossBin], mean: float) -> None:
    places = range(len(bins))
    axes.barh(
        places,
        [bin_.loss for bin_ in bins],
        xerr=_half_widths(bins),
        color=PALE_BLUE,
        error_kw={"ecolor": BLACK, "elinewidth": 1.2},
    )
    axes.axvline(mean, color=GRAY, linewidth=1.2, linestyle="--")
    axes.set_yticks(places, [bin_.label for bin_ in bins])
    axes.set_xlabel("nats per token (dashed: mean)")
    grid_along(axes, "x")


def _paint_shares(axes: Axes, bins: Sequence[LossBin], *, all_bins: Sequence[LossBin]) -> None:
    tokens, loss = sum(bin_.tokens for bin_ in all_bins), _total_loss(all_bins)
    token_shares = [100 * bin_.tokens / tokens for bin_ in bins]
    loss_shares = [100 * bin_.tokens * bin_.loss / loss for bin_ in bins]
    upper, lower = ([place + shift for place in range(len(bins))] for shift in (-0.2, 0.2))
    axes.barh(upper, token_shares, 0.38, color=PALE_BLUE, label="of the tokens")
    axes.barh(lower, loss_shares, 0.38, color=RED, label="of the loss")
    axes.set_xlabel("share (%)")
    grid_along(axes, "x")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _half_widths(bins: Sequence[LossBin]) -> list[float]:
    """Half of each 95 % interval; NaN, which is not drawn, where it is unknown."""
    return [math.nan if bin_.error is None else Z_95 * bin_.error for bin_ in bins]
