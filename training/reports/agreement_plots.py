"""The plots of ``python -m training agreement``. Knows what was found, not how."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from training.evaluation.agreement_results import AgreementFindings, ConstructionScore, Score
from training.evaluation.word_probabilities import Trace
from training.reports.plotting import AMBER, BLUE, GRAY, GREEN, RED, draw, lay_grid, power_of_ten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE = 0.5
BY_ATTRACTORS = {None: GRAY, 0: BLUE, 1: RED}  # more attractors: AMBER
NAMES = {None: "attractors not told", 0: "no attractor", 1: "1 attractor"}
MORE = "more attractors"
LEGEND = (NAMES[0], NAMES[1], MORE, NAMES[None], "chance")
NARROW = 300  # where probabilities span less, there are ticks between powers of ten
SHADES = (BLUE, RED, GREEN, AMBER, GRAY)


def accuracy_plot(found: AgreementFindings) -> bytes:
    """A bar for each construction, or one for each number of attractors; and the chance line."""
    shown = {name: part for name, part in found.constructions.items() if part.total.pairs}

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        _bars_of_all(axes, shown)
        line = axes.axvline(CHANCE, color="#222222", linewidth=1.4, linestyle="--")
        line.set_label("chance")
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of pairs whose good sentence is the likelier (lines: 95 % interval)")
        axes.annotate(
            "share of pairs", (1.01, -0.9), va="bottom", fontsize=9, annotation_clip=False
        )
        lay_grid(axes, "x")
        _legend(figure, axes)

    bars = sum(len(list(_bars(part))) for part in shown.values())
    height = 2.0 + 0.27 * bars + 0.11 * len(shown)
    return draw("Agreement by construction", paint, size=(10.0, height))


def trace_plot(found: Trace) -> bytes:
    """The probability of each word after every word of the sentence, on a logarithmic scale."""

    def paint(figure: Figure) -> None:
        from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415 - as in plots.py

        ends = [p for values in found.probabilities.values() for p in values if p > 0]
        narrow = max(ends, default=1.0) / min(ends, default=1.0) < NARROW
        axes = figure.subplots()
        places = range(len(found.words))
        for place, (word, values) in enumerate(found.probabilities.items()):
            shade = SHADES[place % len(SHADES)]
            axes.plot(places, values, "o-", color=shade, label=f"P({word})")
        labels = [f"{word}\n(unknown)" if word in found.unknown else word for word in found.words]
        axes.set_xticks(places, labels, rotation=0 if len(labels) <= 12 else 45)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if narrow else (1.0,)))
        axes.yaxis.set_major_formatter(lambda value, _: power_of_ten(value))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("probability as the next word")
        axes.set_xlabel("read so far")
        axes.margins(x=0.08)
        axes.legend()

    width = min(24.0, max(8.0, float(len(found.words))))
    return draw("Which word comes next?", paint, size=(width, 5.0))


def _bars(part: ConstructionScore) -> Iterator[tuple[int | None, Score]]:
    """By number of attractors where that is told, else all in one."""
    if sum(score.pairs for score in part.attractors.values()) < part.total.pairs:
        yield None, part.total
    else:
        for count, score in sorted(part.attractors.items()):
            if score.pairs:
                yield count, score


def _bars_of_all(axes: Axes, shown: dict[str, ConstructionScore]) -> None:
    place, ticks = 0.0, []
    for part in shown.values():
        bars = list(_bars(part))
        ticks.append(place + (len(bars) - 1) / 2)
        for count, score in bars:
            _bar(axes, place, count, score)
            place += 1.0
        place += 0.4
    axes.set_yticks(ticks, list(shown), fontsize=10)
    axes.set_ylim(place - 0.6, -0.8)


def _bar(axes: Axes, place: float, count: int | None, score: Score) -> None:
    accuracy, (low, high) = score.accuracy or 0.0, score.interval()
    color, name = BY_ATTRACTORS.get(count, AMBER), NAMES.get(count, MORE)
    axes.barh(place, accuracy, 0.9, color=color, label=name)
    axes.plot([low, high], [place, place], color="#222222", linewidth=1.2)
    told = f"{accuracy:.2f} of {score.pairs:,}"
    axes.annotate(told, (1.01, place), va="center", fontsize=9, annotation_clip=False)


def _legend(figure: Figure, axes: Axes) -> None:
    """Each color once, in the order of attractors."""
    handles, labels = axes.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    names = [name for name in LEGEND if name in known]
    figure.legend(
        [known[name] for name in names],
        names,
        loc="outside lower center",
        ncols=len(names),
        fontsize=11,
    )
