"""Report sections and tables of `agreement`: accuracy by construction, probabilities of words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from training.evaluation.agreement_results import (
    AgreementResults,
    ConstructionAccuracy,
    PairAccuracy,
)
from training.evaluation.word_probabilities import WordProbabilities
from training.reports.html import ReportTable, Section
from training.reports.plotting import (
    AMBER,
    BLACK,
    BLUE,
    COLOR_CYCLE,
    GRAY,
    RED,
    Plot,
    draw_plot,
    format_integers,
    format_powers,
    grid_along,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_UNKNOWN_WORDS = 8  # in a text
NO_VALUE = "–"
CHANCE = 0.5
ATTRACTOR_COLORS = {None: GRAY, 0: BLUE, 1: RED}  # more attractors: AMBER
ATTRACTOR_LABELS = {None: "attractors not given", 0: "no attractor", 1: "1 attractor"}
MORE_ATTRACTORS = "2 or more attractors"
LEGEND_ORDER = (
    *(ATTRACTOR_LABELS[0], ATTRACTOR_LABELS[1], MORE_ATTRACTORS, ATTRACTOR_LABELS[None]),
    "chance",
)
BAR_ALPHA = 0.55  # the black intervals are legible on the bars
NARROW_RANGE = 300.0  # a smaller range of probabilities has ticks between the powers of ten


def agreement_sections(
    results: AgreementResults | None, trace: WordProbabilities | None
) -> list[Section]:
    """The sections of the page on minimal pairs and on word probabilities."""
    sections = []
    if results is not None:
        sections += [_accuracy(results), _distances(results)]
    if trace is not None:
        sections.append(_trace(trace))
    if results is not None:
        sections.append(_conditions(results))
    return [
        section for section in sections if section.plot is not None or section.table is not None
    ]


def accuracy_table(results: AgreementResults) -> ReportTable:
    """One row per construction, their mean, and all pairs."""
    counts = sorted(results.attractors)
    header = ["construction", "pairs", "left out", "accuracy"]
    header += [f"{count} attractor{'' if count == 1 else 's'}" for count in counts]
    rows = [
        _row(name, part.total, [part.attractors.get(count) for count in counts])
        for name, part in results.constructions.items()
    ]
    mean = _format_share(results.mean_accuracy)
    mean_row = ["mean of the constructions", "", "", mean, *[""] * len(counts)]
    total = _row("all pairs", results.total, [results.attractors[count] for count in counts])
    return ReportTable(header, [*rows, mean_row, total])


def left_out_note(results: AgreementResults) -> str:
    """A sentence on the pairs that were left out and on the unknown words in them."""
    left_out = results.total.left_out
    pairs = results.total.pairs + left_out
    if left_out == 0:
        return f"The model knows all words of the {pairs:,} pairs."
    most_common = results.unknown.most_common(MAX_UNKNOWN_WORDS)
    words = ", ".join(f"{word} ({count:,})" for word, count in most_common)
    return (
        f"{left_out:,} of {pairs:,} pairs ({left_out / pairs:.0%}) are left out, because they "
        f"contain words that the model does not know; the most frequent ones: {words}."
    )


def trace_table(trace: WordProbabilities) -> ReportTable:
    """One row per word of the sentence; for two traced words also their ratio."""
    words = list(trace.probabilities)
    columns = [trace.probabilities[word] for word in words]
    header = ["read so far", *(f"P({word})" for word in words)]
    rows = [
        [word, *(f"{probabilities[index]:.2e}" for probabilities in columns)]
        for index, word in enumerate(trace.words)
    ]
    if len(words) == 2:
        header.append(f"{words[0]} : {words[1]}")
        for row, first, second in zip(rows, *columns, strict=True):
            row.append(f"{first / second:.2f}" if second > 0 else NO_VALUE)
    return ReportTable(header, rows)


def _accuracy(results: AgreementResults) -> Section:
    return Section(
        name="accuracy",
        title="Accuracy by construction",
        text="Accuracy is the share of pairs in which the good sentence is more probable than the "
        "bad one; chance is 0.5. An attractor is a noun of the other number between the subject "
        f"and the word that agrees with it. {left_out_note(results)}",
        plot=_accuracy_plot(results) if results.total.pairs else None,
        table=accuracy_table(results),
    )


def _distances(results: AgreementResults) -> Section:
    scored = {count: part for count, part in results.distances.items() if count and part.pairs}
    rows = [
        [str(count), f"{part.pairs:,}", _format_share(part.accuracy)]
        for count, part in scored.items()
    ]
    return Section(
        name="distances",
        title="Accuracy by distance in words",
        text="The number of words that are read before the first one that differs, which is the "
        "word that has to agree; pairs that differ in their first word are left out. Longer "
        "sentences also have other constructions, so the line does not show the distance alone. "
        "Lines are 95% confidence intervals.",
        plot=_distance_plot(scored) if scored else None,
        table=ReportTable(["words before", "pairs", "accuracy"], rows) if rows else None,
    )


def _distance_plot(scored: dict[int, PairAccuracy]) -> Plot:
    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for count, part in scored.items():
            axes.plot([count, count], part.interval(), color=BLACK, linewidth=1.2)
        axes.plot(
            list(scored), [part.accuracy or 0.0 for part in scored.values()], "o-", color=BLUE
        )
        axes.axhline(CHANCE, color=GRAY, linewidth=1.4, linestyle="--")
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("accuracy")
        axes.set_xlabel("words before the one that agrees")
        format_integers(axes.xaxis)

    return draw_plot("Agreement by distance in words", paint, size=(8.0, 4.5))


def _conditions(results: AgreementResults) -> Section:
    rows = [
        [
            construction,
            condition,
            f"{accuracy.pairs:,}",
            f"{accuracy.left_out:,}",
            _format_share(accuracy.accuracy),
        ]
        for construction, part in results.constructions.items()
        for condition, accuracy in part.conditions.items()
    ]
    header = ["construction", "condition", "pairs", "left out", "accuracy"]
    return Section(
        name="conditions",
        title="Accuracy by condition",
        text="The names of the conditions are those of the pairs. They usually give the number, "
        "singular or plural, of each noun and its verb. The accuracy of few pairs is uncertain.",
        table=ReportTable(header, rows) if rows else None,
    )


def _trace(trace: WordProbabilities) -> Section:
    words = ", ".join(f"“{word}”" for word in trace.probabilities)
    unknown = (
        f" Unknown words of the sentence: {', '.join(trace.unknown)}." if trace.unknown else ""
    )
    return Section(
        name="trace",
        title="Probabilities along the sentence",
        text=f"The probability of {words} as the next word after every prefix of the sentence."
        f"{unknown}",
        plot=_trace_plot(trace),
        table=trace_table(trace),
    )


def _row(name: str, accuracy: PairAccuracy, by_attractors: list[PairAccuracy | None]) -> list[str]:
    shares = [
        _format_share(None if part is None else part.accuracy)
        for part in chain([accuracy], by_attractors)
    ]
    return [name, f"{accuracy.pairs:,}", f"{accuracy.left_out:,}", *shares]


def _format_share(accuracy: float | None) -> str:
    return NO_VALUE if accuracy is None else f"{accuracy:.3f}"


def _accuracy_plot(results: AgreementResults) -> Plot:
    """A bar for each construction, or for each number of attractors in it."""
    shown = {name: part for name, part in results.constructions.items() if part.total.pairs}

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _paint_bars(axes, shown)
        axes.axvline(CHANCE, color=BLACK, linewidth=1.4, linestyle="--", label="chance")
        axes.set_xlim(0, 1)
        axes.set_xlabel("accuracy (lines: 95% confidence interval)")
        axes.annotate(
            "accuracy (pairs)", (1.01, -0.9), va="bottom", fontsize=9, annotation_clip=False
        )
        grid_along(axes, "x")
        _add_legend(figure, axes)

    bars = sum(len(list(_bars(part))) for part in shown.values())
    height = 2.0 + 0.27 * bars + 0.11 * len(shown)
    return draw_plot("Agreement by construction", paint, size=(10.0, height))


def _trace_plot(trace: WordProbabilities) -> Plot:
    """The probability of each word after every prefix of the sentence, on a logarithmic scale."""

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import LogLocator  # noqa: PLC0415 - only plots need it

        positive = [p for column in trace.probabilities.values() for p in column if p > 0]
        narrow = max(positive, default=1.0) / min(positive, default=1.0) < NARROW_RANGE
        axes = figure.subplots()
        places = range(len(trace.words))
        for index, (word, probabilities) in enumerate(trace.probabilities.items()):
            color = COLOR_CYCLE[index % len(COLOR_CYCLE)]
            axes.plot(places, probabilities, "o-", color=color, label=f"P({word})")
        labels = [f"{word}\n(unknown)" if word in trace.unknown else word for word in trace.words]
        axes.set_xticks(places, labels, rotation=0 if len(labels) <= 12 else 45)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if narrow else (1.0,)))
        format_powers(axes.yaxis)
        axes.set_ylabel("probability as the next word")
        axes.set_xlabel("read so far")
        axes.margins(x=0.08)
        axes.legend()

    width = min(24.0, max(8.0, float(len(trace.words))))
    return draw_plot("Probabilities along the sentence", paint, size=(width, 5.0))


def _bars(part: ConstructionAccuracy) -> Iterator[tuple[int | None, PairAccuracy]]:
    """Accuracy by number of attractors if all pairs give it, else one bar for all pairs."""
    if sum(accuracy.pairs for accuracy in part.attractors.values()) < part.total.pairs:
        yield None, part.total
    else:
        for count, accuracy in sorted(part.attractors.items()):
            if accuracy.pairs:
                yield count, accuracy


def _paint_bars(axes: Axes, shown: dict[str, ConstructionAccuracy]) -> None:
    y, ticks = 0.0, []
    for part in shown.values():
        bars = list(_bars(part))
        ticks.append(y + (len(bars) - 1) / 2)
        for count, accuracy in bars:
            _paint_bar(axes, y, count, accuracy)
            y += 1.0
        y += 0.4
    axes.set_yticks(ticks, list(shown), fontsize=10)
    axes.set_ylim(y - 0.6, -0.8)


def _paint_bar(axes: Axes, y: float, count: int | None, accuracy: PairAccuracy) -> None:
    share = accuracy.accuracy or 0.0
    color = ATTRACTOR_COLORS.get(count, AMBER)
    label = ATTRACTOR_LABELS.get(count, MORE_ATTRACTORS)
    axes.barh(y, share, 0.9, color=color, alpha=BAR_ALPHA, label=label)
    axes.plot(accuracy.interval(), [y, y], color=BLACK, linewidth=1.2)
    text = f"{share:.2f} ({accuracy.pairs:,})"
    axes.annotate(text, (1.01, y), va="center", fontsize=9, annotation_clip=False)


def _add_legend(figure: Figure, axes: Axes) -> None:
    """Names each color once, in the order of attractors."""
    handles, labels = axes.get_legend_handles_labels()
    handle_of = dict(zip(labels, handles, strict=True))
    names = [name for name in LEGEND_ORDER if name in handle_of]
    figure.legend(
        [handle_of[name] for name in names],
        names,
        loc="outside lower center",
        ncols=len(names),
        fontsize=11,
    )
