"""The plot of what a classifier makes of texts out of scope. Knows what was found, not how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.evaluation.out_of_scope_results import OutOfScopeFindings
from training.reports.plotting import BLUE, GRAY, PALE, RED, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DARK = "#444444"
NAMED = (0.1, 0.3, 0.5, 0.7, 0.9)  # borders that are told along the curve


def border_plot(found: OutOfScopeFindings) -> bytes:
    """Both mistakes over the border, and one against the other; what is in use is marked."""

    def paint(figure: Figure) -> None:
        over, against = figure.subplots(1, 2)
        _over_the_border(over, found)
        _against_each_other(against, found)

    return draw("Out of scope, or not: two mistakes to choose between", paint, size=(12.0, 6.0))


def _over_the_border(axes: Axes, found: OutOfScopeFindings) -> None:
    low, high = found.in_use
    border = [point.probability for point in found.threshold_curve]
    accepted = [100 * point.false_accept for point in found.threshold_curve]
    rejected = [100 * point.false_reject for point in found.threshold_curve]
    axes.axvspan(low, high, color=PALE, linewidth=1.0, label="in use")
    axes.plot(border, accepted, color=RED, label="false accept, of those outside")
    axes.plot(border, rejected, color=BLUE, label="false reject, of those inside")
    axes.set_xlabel(f"border: {found.answer} from this probability on")
    axes.set_ylabel("texts (per cent)")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 100)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=11)


def _against_each_other(axes: Axes, found: OutOfScopeFindings) -> None:
    axes.plot([0, 100], [100, 0], color=GRAY, linewidth=1.2, linestyle="--", label="by chance")
    rejected = [100 * point.false_reject for point in found.threshold_curve]
    accepted = [100 * point.false_accept for point in found.threshold_curve]
    axes.plot(rejected, accepted, color=DARK, label="all borders, some with their probability")
    for point in found.threshold_curve:
        if any(abs(point.probability - named) < 1e-9 for named in NAMED):
            place = (100 * point.false_reject, 100 * point.false_accept)
            axes.plot(*place, "o", color=DARK, markersize=5, clip_on=False)
            axes.annotate(
                f"{point.probability:.1f}",
                place,
                (7, 3),
                textcoords="offset points",
                fontsize=10,
                color=DARK,
            )
    axes.plot(
        100 * found.score.false_reject,
        100 * found.score.false_accept,
        "D",
        color=RED,
        markersize=9,
        clip_on=False,
        label="in use",
    )
    axes.set_xlabel("false reject (per cent of those inside)")
    axes.set_ylabel("false accept (per cent of those outside)")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=11)
