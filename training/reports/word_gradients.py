"""Section and tables of the gradient at each word of a sentence, one row for each model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.evaluation.word_gradients import TracedGradients
from training.reports.html import ReportTable, Section
from training.reports.plotting import COLOR_CYCLE, Plot, draw_plot, grid_along, power_of_ten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDEST, NARROWEST = 24.0, 8.0  # inches
PANEL_HEIGHT = 2.6  # inches
MOST_HORIZONTAL = 16  # tokens, beyond which their names are rotated


def word_gradients_section(traces: Sequence[TracedGradients]) -> Section:
    """Bars under the words, and below each word the factor of its step."""
    target = traces[0].target.strip()
    return Section(
        name="word-gradients",
        title=f"Gradient of the loss of “{target}” at each word",
        text=f"A bar is the norm of the gradient of -log p({target}) with respect to the vector of "
        "the word, which an update would change. The number below a word is the factor of its "
        "step: the norm of the gradient with respect to the recurrent state before the word, "
        "divided by that after it, so what the derivative dh_t / dh_(t-1) does to the gradient. "
        "The gradient at a word is multiplied by the factors of all later words. With one Elman "
        "unit a factor is tanh' W_h.",
        plot=_plot(traces),
        table=word_gradients_table(traces),
    )


def word_gradients_table(traces: Sequence[TracedGradients]) -> ReportTable:
    """One row for each word of each model."""
    rows = [
        (
            trace.artifact,
            token.strip() or repr(token)[1:-1],
            f"{gradient:.3g}",
            f"{factor:.3g}",
            f"{product:.3g}",
        )
        for trace in traces
        for token, gradient, factor, product in zip(
            trace.tokens, trace.gradients, trace.factors, trace.products, strict=True
        )
    ]
    return ReportTable(("model", "word", "gradient", "factor", "product of later factors"), rows)


def _plot(traces: Sequence[TracedGradients]) -> Plot:
    longest = max(len(trace.tokens) for trace in traces)
    width = min(WIDEST, max(NARROWEST, 0.95 * longest))

    def paint(figure: Figure) -> None:
        panels = figure.subplots(len(traces), 1, squeeze=False)[:, 0]
        for index, (axes, trace) in enumerate(zip(panels, traces, strict=True)):
            _paint_bars(axes, trace, COLOR_CYCLE[index % len(COLOR_CYCLE)])

    target = traces[0].target.strip()
    title = f"Gradient of -log p({target}) at each word"
    return draw_plot(title, paint, size=(width, 1.2 + PANEL_HEIGHT * len(traces)))


def _paint_bars(axes: Axes, trace: TracedGradients, color: str) -> None:
    places = range(len(trace.tokens))
    axes.bar(places, trace.gradients, color=color)
    labels = [
        f"{token.strip() or repr(token)[1:-1]}\n×{_two_digits(factor)}"
        for token, factor in zip(trace.tokens, trace.factors, strict=True)
    ]
    rotated = len(labels) > MOST_HORIZONTAL
    axes.set_xticks(list(places), labels, fontsize=10, rotation=60 if rotated else 0)
    axes.set_ylabel("norm")
    axes.set_title(f"{trace.artifact} ({trace.cell}), loss {trace.loss:.2f}", fontsize=12)
    grid_along(axes, "y")


def _two_digits(value: float) -> str:
    return power_of_ten(float(f"{value:.2g}"))
