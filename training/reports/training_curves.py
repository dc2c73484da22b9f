"""Loss and learning rate of a training run over its steps: a plot for the reports on its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.reports.html import Section
from training.reports.plotting import AMBER, BLUE, GRAY, Plot, draw_plot, format_integers
from training.runs.history import Curve, History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAINING_CURVES_TITLE = "Training curves"
CLASSIFIER_NOTE = (
    "The training loss is not comparable with the validation loss: it is smoothed, and computed "
    "with dropout and label smoothing."
)


def training_curves_section(history: History, text: str) -> Section:
    """The curves with a text about them; ``history`` has at least one evaluation."""
    return Section(
        name="training-curves",
        title=TRAINING_CURVES_TITLE,
        text=text,
        plot=_curves_plot(history),
    )


def _curves_plot(history: History) -> Plot:
    """Training and validation loss, with the learning rate below."""

    def paint(figure: Figure) -> None:
        has_rates = bool(history.learning_rate.steps)
        heights = [3, 1] if has_rates else [1]
        panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)
        panels = panels[:, 0]
        _plot_curve(panels[0], history.training, AMBER, "training, smoothed", marker="")
        _plot_curve(panels[0], history.validation, BLUE, "validation", marker="o")
        panels[0].set_ylabel("loss (nats)")
        panels[0].legend()
        if has_rates:
            _plot_curve(panels[1], history.learning_rate, GRAY, "learning rate", marker="")
            panels[1].set_ylabel("learning rate")
            panels[1].set_ylim(bottom=0)
        panels[-1].set_xlabel("training step")
        format_integers(panels[-1].xaxis)

    return draw_plot(TRAINING_CURVES_TITLE, paint)


def _plot_curve(axes: Axes, curve: Curve, color: str, label: str, *, marker: str) -> None:
    if len(curve.steps) == 1:
        marker = "o"  # a line of one point would be invisible
    if curve.steps:
        axes.plot(curve.steps, curve.values, color=color, label=label, marker=marker, markersize=5)
