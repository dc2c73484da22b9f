"""Report sections on texts out of scope: metrics, error rates over the threshold, top errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.evaluation.classifier import TopError
from training.evaluation.out_of_scope_results import OutOfScopeResults
from training.reports.html import ReportTable, Section
from training.reports.plotting import BLUE, DARK_GRAY, GRAY, PALE_BLUE, RED, Plot, draw_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELED_THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)  # on the curve


def out_of_scope_sections(results: OutOfScopeResults) -> list[Section]:
    """The sections of the page on texts out of scope."""
    return [_metrics(results), _false_accepts(results), _false_rejects(results)]


def error_table(errors: Sequence[TopError]) -> ReportTable | None:
    """A table of misclassified texts; None if there are none."""
    rows = [(error.text, error.truth, error.answer, f"{error.confidence:.1%}") for error in errors]
    header = ("text", "truth", "answer", "confidence")
    return ReportTable(header, rows, prose=True) if rows else None


def _metrics(results: OutOfScopeResults) -> Section:
    low, high = results.threshold_range
    return Section(
        name="out-of-scope",
        title="Texts out of scope",
        text=f"{results.outside:,} of these {results.outside + results.inside:,} texts are out of "
        f"scope. The answer is {results.answer} where that is more probable than every label. On "
        f"these texts this begins between the probabilities {low:.2f} and {high:.2f}. Clients that "
        "read the probability can apply a threshold of their own: a lower one accepts fewer texts "
        "out of scope and rejects more texts in scope.",
        plot=_threshold_plot(results),
        table=_metric_table(results),
    )


def _metric_table(results: OutOfScopeResults) -> ReportTable:
    score, answer = results.score, results.answer
    auroc = (
        "probability that the classifier is more confident on a text in scope than on one out of "
        "scope, whatever the threshold; 0.5 is chance, 1 is perfect"
    )
    rows = [
        ("false accept", f"{score.false_accept:.1%}", "of the texts out of scope: got a label"),
        ("recall", f"{score.recall:.1%}", f"of the texts out of scope: were answered {answer}"),
        ("false reject", f"{score.false_reject:.1%}", f"of the others: were answered {answer}"),
        ("accuracy in scope", f"{score.in_scope_accuracy:.1%}", "of the others: got their label"),
        (
            "precision",
            f"{score.precision:.1%}",
            f"of the answers {answer}: are right; depends on the share of texts out of scope",
        ),
        ("AUROC", f"{score.auroc:.3f}", auroc),
    ]
    return ReportTable(("metric", "value", "meaning"), rows)


def _false_accepts(results: OutOfScopeResults) -> Section:
    return Section(
        name="false-accepts",
        title="Out of scope, but given a label",
        text=_count(results.false_accepts, "texts out of scope that were given a label"),
        table=error_table(results.false_accepts),
    )


def _false_rejects(results: OutOfScopeResults) -> Section:
    return Section(
        name="false-rejects",
        title=f"In scope, but answered {results.answer}",
        text=_count(
            results.false_rejects, f"texts with a label that were answered {results.answer}"
        ),
        table=error_table(results.false_rejects),
    )


def _count(errors: Sequence[TopError], kind: str) -> str:
    if not errors:
        return f"There are no {kind}."
    return f"The {len(errors)} {kind} with the highest confidence."


def _threshold_plot(results: OutOfScopeResults) -> Plot:
    """Both error rates over the threshold, and one against the other."""

    def paint(figure: Figure) -> None:
        over_threshold, trade_off = figure.subplots(1, 2)
        _paint_rates(over_threshold, results)
        _paint_trade_off(trade_off, results)
        for axes in (over_threshold, trade_off):
            axes.set_ylim(0, 100)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), fontsize=11)

    return draw_plot("Out of scope: false accepts and false rejects", paint, size=(12.0, 6.0))


def _percentages(results: OutOfScopeResults) -> tuple[list[float], list[float]]:
    """False accepts and false rejects along the threshold curve."""
    accepted = [100 * threshold.false_accept for threshold in results.threshold_curve]
    rejected = [100 * threshold.false_reject for threshold in results.threshold_curve]
    return accepted, rejected


def _paint_rates(axes: Axes, results: OutOfScopeResults) -> None:
    thresholds = [threshold.probability for threshold in results.threshold_curve]
    accepted, rejected = _percentages(results)
    axes.axvspan(*results.threshold_range, color=PALE_BLUE, linewidth=1.0, label="in use")
    axes.plot(thresholds, accepted, color=RED, label="false accept, of texts out of scope")
    axes.plot(thresholds, rejected, color=BLUE, label="false reject, of texts in scope")
    axes.set_xlabel(f"threshold on the probability of {results.answer}")
    axes.set_ylabel("texts (%)")
    axes.set_xlim(0, 1)


def _paint_trade_off(axes: Axes, results: OutOfScopeResults) -> None:
    accepted, rejected = _percentages(results)
    axes.plot([0, 100], [100, 0], color=GRAY, linewidth=1.2, linestyle="--", label="chance")
    axes.plot(rejected, accepted, color=DARK_GRAY, label="all thresholds, some with their value")
    for threshold, x, y in zip(results.threshold_curve, rejected, accepted, strict=True):
        probability = threshold.probability
        if any(abs(probability - labeled) < 1e-9 for labeled in LABELED_THRESHOLDS):
            axes.plot(x, y, "o", color=DARK_GRAY, markersize=5, clip_on=False)
            axes.annotate(
                f"{probability:.1f}",
                (x, y),
                (7, 3),
                textcoords="offset points",
                fontsize=10,
                color=DARK_GRAY,
            )
    in_use = (100 * results.score.false_reject, 100 * results.score.false_accept)
    axes.plot(*in_use, "D", color=RED, markersize=9, clip_on=False, label="in use")
    axes.set_xlabel("false reject (% of texts in scope)")
    axes.set_ylabel("false accept (% of texts out of scope)")
    axes.set_xlim(0, 100)
