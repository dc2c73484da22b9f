"""Report sections on a classifier: confusions, labels, reliability and top errors, with plots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from training.evaluation.calibration import BINS, ConfidenceBin
from training.evaluation.classifier_results import ClassifierResults, Confusion, LabelMetrics
from training.evaluation.confidence import wilson_interval
from training.reports.html import ReportTable, Section
from training.reports.out_of_scope import error_table, out_of_scope_sections
from training.reports.plotting import (
    BLACK,
    GRAY,
    PALE_BLUE,
    RED,
    Plot,
    draw_plot,
    format_integers,
    grid_along,
)
from training.reports.training_curves import CLASSIFIER_NOTE, training_curves_section

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_TABLE_LABELS = 25
MAX_MATRIX_LABELS = 24  # with more labels, the most frequent pairs are shown instead of the matrix
MAX_SHARE_LABELS = 8  # with more labels, the cells of the matrix show no percentage
MAX_PAIRS = 20
MAX_LABEL_CHARACTERS = 28
RELIABILITY_TITLE = "Confidence and accuracy"


def classifier_sections(results: ClassifierResults) -> list[Section]:
    """The sections of the page, without the table of metrics."""
    sections = [_confusions(results)]
    if results.out_of_scope is not None:
        sections += out_of_scope_sections(results.out_of_scope)
    sections += [_labels(results), _reliability(results), _top_errors(results)]
    if results.history is not None:
        sections.append(training_curves_section(results.history, CLASSIFIER_NOTE))
    return sections


def _has_matrix(results: ClassifierResults) -> bool:
    return len(results.labels) <= MAX_MATRIX_LABELS


def _shown_confusions(results: ClassifierResults) -> list[Confusion]:
    """All confusions for a matrix; for a list of pairs those between labels.

    Confusions with out of scope would crowd out the others. They have sections of their own.
    """
    if _has_matrix(results) or results.out_of_scope is None:
        return results.confusions
    outside = results.out_of_scope.answer
    return [pair for pair in results.confusions if outside not in (pair.truth, pair.answer)]


def _confusions(results: ClassifierResults) -> Section:
    wrong = sum(confusion.documents for confusion in results.confusions)
    pairs = _shown_confusions(results)
    documents = {label.label: label.documents for label in results.labels}
    totals = [documents[pair.truth] for pair in pairs[:MAX_PAIRS]]
    text = f"{wrong:,} of {results.metrics['documents']:,} documents have a wrong answer. "
    if _has_matrix(results):
        plot: Plot | None = _matrix_plot(results.labels, results.confusions)
        table = None
    else:
        text += _pairs_note(results, len(pairs))
        plot = _pairs_plot(pairs[:MAX_PAIRS], totals) if pairs else None
        table = _pairs_table(pairs[:MAX_PAIRS], totals) if pairs else None
    return Section(
        name="confusions",
        title="Confusion matrix" if _has_matrix(results) else "Most frequent confusions",
        text=text + _most_frequent(pairs),
        plot=plot,
        table=table,
    )


def _most_frequent(pairs: Sequence[Confusion]) -> str:
    if not pairs:
        return "No label is confused with another."
    pair = pairs[0]
    documents = "1 document" if pair.documents == 1 else f"{pair.documents:,} documents"
    return f"The most frequent error is {pair.answer} instead of {pair.truth} ({documents})."


def _pairs_note(results: ClassifierResults, pairs: int) -> str:
    outside = results.out_of_scope
    others = "" if outside is None else f" Errors about {outside.answer} have their own sections."
    return (
        f"With {len(results.labels)} labels a matrix would be illegible. The plot shows the "
        f"{min(MAX_PAIRS, pairs)} most confused of {pairs} pairs of labels; figures.json has all."
        f"{others} "
    )


def _pairs_table(pairs: Sequence[Confusion], totals: Sequence[int]) -> ReportTable:
    rows = [
        (pair.truth, pair.answer, f"{pair.documents:,}", f"{pair.documents / total:.1%}")
        for pair, total in zip(pairs, totals, strict=True)
    ]
    return ReportTable(("truth", "answer", "documents", "of all with this truth"), rows)


def _labels(results: ClassifierResults) -> Section:
    rows = [
        (
            label.label,
            f"{label.f1:.3f}",
            f"{label.recall:.3f}",
            f"{label.precision:.3f}",
            f"{label.documents:,}",
            f"{label.answers:,}",
        )
        for label in results.labels[:MAX_TABLE_LABELS]
    ]
    header = ("label", "F1", "recall", "precision", "documents", "answers")
    count = len(results.labels)
    shown = "All" if count <= MAX_TABLE_LABELS else f"The {MAX_TABLE_LABELS} lowest of {count}"
    return Section(
        name="labels",
        title="Metrics by label",
        text=f"{shown} labels in ascending order of F1. Recall is the share of the label's "
        "documents that were answered with it; precision is the share of these answers that are "
        "right.",
        table=ReportTable(header, rows),
    )


def _reliability(results: ClassifierResults) -> Section:
    metrics = results.metrics
    return Section(
        name="reliability",
        title=RELIABILITY_TITLE,
        text="Documents are grouped by the confidence of their answer. A bar below its red line "
        "means that the confidence is too high. Black lines are 95% confidence intervals of the "
        "accuracy: where one crosses the red line, the difference may be chance. The expected "
        f"calibration error, the mean difference, is {metrics['calibration_error_before']:.4f} as "
        f"trained and {metrics['calibration_error']:.4f} with the temperature "
        f"{results.calibration.temperature:.3f}, which was fitted on the validation split.",
        plot=_reliability_plot(results),
    )


def _top_errors(results: ClassifierResults) -> Section:
    count = len(results.top_errors)
    return Section(
        name="top-errors",
        title="Top errors",
        text=f"The {count} errors with the highest confidence." if count else "There is no error.",
        table=error_table(results.top_errors),
    )


def _matrix_plot(labels: Sequence[LabelMetrics], confusions: Sequence[Confusion]) -> Plot:
    names = sorted(label.label for label in labels)
    index = {name: place for place, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for label in labels:
        counts[index[label.label]][index[label.label]] = round(label.recall * label.documents)
    for confusion in confusions:
        counts[index[confusion.truth]][index[confusion.answer]] = confusion.documents
    width = max(6.5, 3.0 + 0.48 * len(names))

    def paint(figure: Figure) -> None:
        _paint_matrix(figure, names, counts)

    return draw_plot("Confusion matrix", paint, size=(width, 0.78 * width), dark=False)


def _paint_matrix(figure: Figure, names: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
    axes = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    with_share = len(names) <= MAX_SHARE_LABELS
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                text = f"{count:,}\n{shares[y][x]:.0%}" if with_share else f"{count:,}"
                color = "white" if shares[y][x] > 0.55 else BLACK
                size = 14 if with_share else 9
                axes.text(x, y, text, ha="center", va="center", color=color, fontsize=size)
    labels = [_abbreviated(name) for name in names]
    axes.set_xticks(range(len(names)), labels, **_rotation(len(names)))
    axes.set_yticks(range(len(names)), labels)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="share of the documents with this truth", shrink=0.8)


def _rotation(labels: int) -> dict[str, Any]:
    """Rotates the labels below a matrix where they would overlap."""
    if labels <= 4:
        return {}
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}


def _pairs_plot(pairs: Sequence[Confusion], totals: Sequence[int]) -> Plot:
    """Bars of confused documents; ``totals`` are the numbers of documents with each truth."""

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        places = range(len(pairs))
        bars = axes.barh(places, [pair.documents for pair in pairs], color=RED)
        counts = [f"{p.documents:,} of {total:,}" for p, total in zip(pairs, totals, strict=True)]
        axes.bar_label(bars, counts, padding=4, fontsize=10)
        labels = [f"{_abbreviated(p.truth)} → {_abbreviated(p.answer)}" for p in pairs]
        axes.set_yticks(places, labels, fontsize=11)
        axes.set_ylim(len(pairs) - 0.4, -0.6)
        axes.margins(x=0.08)
        format_integers(axes.xaxis)
        axes.set_xlabel("documents with the first label that were answered with the second")
        grid_along(axes, "x")

    height = 1.6 + 0.32 * len(pairs)
    return draw_plot("Most frequent confusions", paint, size=(10.0, height))


def _reliability_plot(results: ClassifierResults) -> Plot:
    """Accuracy over confidence without and with the temperature, and the number of documents."""
    errors = [results.metrics[f"calibration_error{suffix}"] for suffix in ("_before", "")]
    titles = ("as trained", f"temperature {results.calibration.temperature:.2f}")

    def paint(figure: Figure) -> None:
        panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
        for column, bins in enumerate((results.before, results.after)):
            _paint_bins(panels[0, column], panels[1, column], bins)
            title = f"{titles[column]}: calibration error {errors[column]:.3f}"
            panels[0, column].set_title(title)
        panels[0, 0].set_ylabel("accuracy")
        panels[1, 0].set_ylabel("documents")
        legend = panels[0, 0].get_legend_handles_labels()
        figure.legend(*legend, loc="outside lower center", ncols=3, fontsize=11)

    return draw_plot(RELIABILITY_TITLE, paint, size=(10.0, 6.4))


def _paint_bins(upper: Axes, lower: Axes, bins: Sequence[ConfidenceBin]) -> None:
    centers, width = [(bin_.low + bin_.high) / 2 for bin_ in bins], 0.9 / BINS
    upper.bar(centers, [bin_.accuracy for bin_ in bins], width, color=PALE_BLUE, label="accuracy")
    intervals = [wilson_interval(round(b.accuracy * b.documents), b.documents) for b in bins]
    lows, highs = zip(*intervals, strict=True)
    means = [bin_.confidence for bin_ in bins]
    starts, ends = [x - width / 2 for x in centers], [x + width / 2 for x in centers]
    upper.hlines(means, starts, ends, color=RED, linewidth=2.0, label="mean confidence")
    name = "95% interval of the accuracy"
    upper.vlines(centers, lows, highs, color=BLACK, linewidth=1.2, label=name)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1)
    lower.bar(centers, [bin_.documents for bin_ in bins], width, color=GRAY)
    lower.set_xlabel("confidence")
    format_integers(lower.yaxis)


def _abbreviated(label: str) -> str:
    if len(label) <= MAX_LABEL_CHARACTERS:
        return label
    return label[: MAX_LABEL_CHARACTERS - 1] + "…"
