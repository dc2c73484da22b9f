"""The plots of a classifier's evaluation. Knows what was found, not how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from training.evaluation.calibration import BINS, ConfidenceBin
from training.evaluation.classifier_results import ClassifierFindings, Confusion, LabelScore
from training.evaluation.confidence import interval
from training.reports.plotting import GRAY, PALE, RED, draw, lay_grid, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW_LABELS = 8  # of so many, cells tell shares as well
LARGEST_MATRIX = 24  # labels; of more, pairs are shown
PAIRS = 20
LONGEST_LABEL = 28  # characters


def is_matrix(found: ClassifierFindings) -> bool:
    """Whether there are few enough labels for a confusion matrix."""
    return len(found.labels) <= LARGEST_MATRIX


def shown_confusions(found: ClassifierFindings) -> list[Confusion]:
    """Without those with out of scope, which would crowd out the others, where there is no matrix.

    Out of scope has a part of the page of its own.
    """
    if is_matrix(found) or found.out_of_scope is None:
        return found.confusions
    beyond = found.out_of_scope.answer
    return [part for part in found.confusions if beyond not in (part.truth, part.answer)]


def confusion_plot(found: ClassifierFindings) -> bytes | None:
    """The confusion matrix; of many labels the most confused pairs; None if none are confused."""
    if is_matrix(found):
        return _matrix_plot(found.labels, found.confusions)
    pairs = shown_confusions(found)[:PAIRS]
    of = {score.label: score.documents for score in found.labels}
    return _pairs_plot(pairs, [of[part.truth] for part in pairs]) if pairs else None


def reliability_plot(found: ClassifierFindings) -> bytes:
    """Accuracy beside confidence before and after temperature scaling, and how many documents."""

    def paint(figure: Figure) -> None:
        panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
        before, after = (
            found.figures[name] for name in ("calibration_error_before", "calibration_error")
        )
        _reliability(panels[:, 0], found.before, f"as trained: calibration error {before:.3f}")
        title = f"temperature {found.calibration.temperature:.2f}: calibration error {after:.3f}"
        _reliability(panels[:, 1], found.after, title)
        panels[0, 0].set_ylabel("accuracy")
        panels[1, 0].set_ylabel("documents")
        named = panels[0, 0].get_legend_handles_labels()
        figure.legend(*named, loc="outside lower center", ncols=3, fontsize=11)

    return draw("Does confidence mean what it says?", paint, size=(10.0, 6.4))


def _matrix_plot(scores: Sequence[LabelScore], confusions: Sequence[Confusion]) -> bytes:
    names = sorted(score.label for score in scores)
    place = {name: index for index, name in enumerate(names)}
    counts = [[0] * len(names) for _ in names]
    for score in scores:
        counts[place[score.label]][place[score.label]] = round(score.recall * score.documents)
    for confusion in confusions:
        counts[place[confusion.truth]][place[confusion.answer]] = confusion.documents
    width = max(6.5, 3.0 + 0.48 * len(names))

    def paint(figure: Figure) -> None:
        _matrix(figure, names, counts)

    return draw("Which label is taken for which", paint, size=(width, 0.78 * width))


def _matrix(figure: Figure, names: Sequence[str], counts: Sequence[Sequence[int]]) -> None:
    axes = figure.subplots()
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    for y, row in enumerate(counts):
        for x, count in enumerate(row):
            if count:
                color = "white" if shares[y][x] > 0.55 else "#222222"
                few = len(names) <= FEW_LABELS
                told = f"{count:,}\n{shares[y][x]:.0%}" if few else f"{count:,}"
                size = 14 if few else 9
                axes.text(x, y, told, ha="center", va="center", color=color, fontsize=size)
    labels = [_short(name) for name in names]
    axes.set_xticks(range(len(names)), labels, **_slant(len(names)))
    axes.set_yticks(range(len(names)), labels)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="share of the documents of a label", shrink=0.8)


def _slant(labels: int) -> dict[str, Any]:
    """Names under a matrix lean where there is no room for them side by side."""
    if labels <= 4:
        return {}
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}


def _pairs_plot(confusions: Sequence[Confusion], of: Sequence[int]) -> bytes:
    """Bars, each with how many documents truly have the label: ``of``."""

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - only plots need it

        axes = figure.subplots()
        places = range(len(confusions))
        bars = axes.barh(places, [confusion.documents for confusion in confusions], color=RED)
        told = [f"{c.documents:,} of {all_of:,}" for c, all_of in zip(confusions, of, strict=True)]
        axes.bar_label(bars, told, padding=4, fontsize=10)
        labels = [f"{_short(c.truth)} → {_short(c.answer)}" for c in confusions]
        axes.set_yticks(places, labels, fontsize=11)
        axes.set_ylim(len(confusions) - 0.4, -0.6)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("documents of the first label that were given the second")
        lay_grid(axes, "x")

    height = 1.6 + 0.32 * len(confusions)
    return draw("The labels most often taken for others", paint, size=(10.0, height))


def _reliability(panels: Sequence[Axes], bins: Sequence[ConfidenceBin], title: str) -> None:
    upper, lower = panels
    middles, width = [(part.low + part.high) / 2 for part in bins], 0.9 / BINS
    upper.bar(middles, [part.accuracy for part in bins], width, color=PALE, label="accuracy")
    for part, middle in zip(bins, middles, strict=True):
        edges = [middle - width / 2, middle + width / 2]
        upper.plot(
            edges,
            [part.confidence] * 2,
            color=RED,
            label="mean confidence" if part is bins[0] else None,
        )
        ends = interval(round(part.accuracy * part.documents), part.documents)
        name = "95% interval of the accuracy" if part is bins[0] else None
        upper.plot([middle] * 2, ends, color="#222222", linewidth=1.2, label=name)
    upper.set_title(title)
    upper.set_xlim(0, 1)
    upper.set_ylim(0, 1)
    lower.bar(middles, [part.documents for part in bins], width, color=GRAY)
    lower.set_xlabel("confidence")
    thousands(lower.yaxis)


def _short(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
