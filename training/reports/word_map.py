"""Tables and plot of word vectors, one panel for each set of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from model.words.word_map import WordMap
from training.reports.html import ReportTable, Section
from training.reports.plotting import BLUE, DARK_GRAY, RED, Plot, draw_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_NUMBERS = 4  # of a vector
PANELS_IN_A_ROW = 2


def word_map_section(maps: Sequence[WordMap]) -> Section:
    """The map of all sets of vectors, and the table of neighbors."""
    shares = "; ".join(f"{one.name} {one.explained:.0%}" for one in maps)
    return Section(
        name="words",
        title="Words and their nearest words",
        text="Each word has a vector. Nearest words have the largest cosine. The map shows the "
        "first two principal components of the vectors, scaled to length 1; distances in it are "
        f"approximate. Share of the variance that it shows: {shares}.",
        plot=_plot(maps),
        table=word_table(maps),
    )


def word_table(maps: Sequence[WordMap]) -> ReportTable:
    """One row for each word of each set of vectors."""
    rows = [
        (
            word.word,
            one.name,
            f"{word.norm:.2f}",
            " ".join(f"{value:.2f}" for value in word.vector[:SHOWN_NUMBERS]) + " …",
            ", ".join(f"{neighbor} {cosine:.2f}" for neighbor, cosine in word.neighbors),
        )
        for index in range(len(maps[0].words))
        for one in maps
        for word in [one.words[index]]
    ]
    return ReportTable(("word", "vectors", "length", "vector", "nearest words"), rows)


def _plot(maps: Sequence[WordMap]) -> Plot:
    columns = min(PANELS_IN_A_ROW, len(maps))
    rows = -(-len(maps) // columns)

    def paint(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, one in zip(panels, maps, strict=False):
            _paint_map(axes, one)
        for axes in panels[len(maps) :]:
            axes.set_axis_off()

    return draw_plot("Map of word vectors", paint, size=(7.5 * columns, 5.6 * rows))


def _paint_map(axes: Axes, one: WordMap) -> None:
    asked = {word.word for word in one.words}
    for word, (x, y) in one.points.items():
        color = RED if word in asked else BLUE
        axes.plot([x], [y], "o", color=color, markersize=5)
        axes.annotate(
            word,
            (x, y),
            xytext=(5, 3),
            textcoords="offset points",
            color=color if word in asked else DARK_GRAY,
            fontsize=13 if word in asked else 10,
        )
    axes.set_title(one.name)
    axes.set_xlabel("first component")
    axes.set_ylabel("second component")
    axes.margins(0.16)
