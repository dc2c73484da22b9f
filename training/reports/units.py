"""Tables of units that follow a marking, and plates: a unit in colors along a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.evaluation.units.plate import PlateToken
from training.evaluation.units.search import UnitScore, UnitSearch
from training.reports.html import ReportTable, Section
from training.reports.plotting import Plot, draw_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKING_NAMES = {
    "quotes": "inside quotation marks",
    "brackets": "depth of brackets",
    "capitals": "capital letters",
    "digits": "digits",
    "spaces": "white space",
    "line_position": "position in the line",
    "word_position": "position in the word",
    "sentence_position": "position in the sentence",
    "speaker": "name of a speaker",
}
ROW_WIDTH = 64  # characters
MOST_ROWS = 6
CELL_WIDTH, CELL_HEIGHT = 0.185, 0.25  # inches
SHOWN_SUCCESSORS = 5
ROW_HEIGHT = SHOWN_SUCCESSORS + 1.8  # cells: the text, its successors, and a gap


def units_table(search: UnitSearch) -> ReportTable:
    """One row for each marking."""
    rows = [
        (
            MARKING_NAMES[score.marking],
            str(score.layer + 1),
            str(score.unit),
            score.signal,
            f"{score.searched:.2f}",
            f"{score.held_out:.2f}",
            "" if score.separation is None else f"{score.separation:.2f}",
        )
        for score in search.best
    ]
    header = ("follows", "layer", "unit", "signal", "r searched", "r held out", "separation")
    return ReportTable(header, rows)


def units_note(search: UnitSearch) -> str:
    """How many units follow nothing, and which markings the text does not have."""
    nothing = search.units - search.following
    missing = ""
    if search.missing:
        names = ", ".join(MARKING_NAMES[name] for name in search.missing)
        missing = f" The text does not vary in: {names}."
    return (
        f"{nothing:,} of {search.units:,} units follow none of these: their r on held-out text is "
        f"below {search.threshold:g}.{missing}"
    )


def search_section(search: UnitSearch) -> Section:
    """The table of all markings."""
    return Section(
        name="units",
        title="Units that follow something",
        text="For each marking the unit with the largest correlation on one half of the text, and "
        "its correlation on the other half, which was not searched. Separation is the probability "
        "that the unit is higher at a marked token than at an unmarked one. Layers count from 1, "
        f"units from 0. {units_note(search)}",
        table=units_table(search),
    )


def plate_section(score: UnitScore, plate: Sequence[PlateToken]) -> Section:
    """A unit along a held-out text."""
    name = MARKING_NAMES[score.marking]
    return Section(
        name=f"plate-{score.marking.replace('_', '-')}",
        title=f"Layer {score.layer + 1}, unit {score.unit}: {name} (r {score.held_out:.2f})",
        text="The first line of each row is the text: blue where the unit is positive, red where "
        "it is negative. Below each token are the five likeliest successors, the likeliest first; "
        "the darker, the more likely.",
        plot=_plot(score, plate),
    )


def _plot(score: UnitScore, plate: Sequence[PlateToken]) -> Plot:
    rows = _rows(plate)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for index, row in enumerate(rows):
            _paint_row(axes, row, index * ROW_HEIGHT)
        axes.set_xlim(0, ROW_WIDTH)
        axes.set_ylim(len(rows) * ROW_HEIGHT, 0)
        axes.set_axis_off()

    title = (
        f"Layer {score.layer + 1}, unit {score.unit} ({score.signal}): "
        f"{MARKING_NAMES[score.marking]}, r {score.held_out:.2f}"
    )
    size = (ROW_WIDTH * CELL_WIDTH, 0.8 + len(rows) * ROW_HEIGHT * CELL_HEIGHT)
    return draw_plot(title, paint, size=size, dark=False)


def _width(token: PlateToken) -> int:
    """Characters of a cell: one for a character model, more for words."""
    return max(1, len(_shown(token.text)))


def _rows(plate: Sequence[PlateToken]) -> list[list[PlateToken]]:
    """Rows of tokens; a line end ends a row, and empty lines are left out."""
    rows, width = [list[PlateToken]()], 0
    for token in plate:
        if width + _width(token) > ROW_WIDTH or (rows[-1] and "\n" in rows[-1][-1].text):
            rows.append([])
            width = 0
        rows[-1].append(token)
        width += _width(token)
    return [row for row in rows if any(token.text.strip() for token in row)][:MOST_ROWS]


def _paint_row(axes: Axes, row: Sequence[PlateToken], top: float) -> None:
    """All cells of a row as one collection: a patch for each takes twice the time."""
    from matplotlib import colormaps  # noqa: PLC0415 - only plots need it
    from matplotlib.collections import PolyCollection  # noqa: PLC0415

    activations, probabilities = colormaps["RdBu"], colormaps["Reds"]
    corners, colors = list[list[tuple[float, float]]](), list[tuple[float, ...]]()
    left = 0
    for token in row:
        right = left + _width(token)
        cells = [(_shown(token.text), activations((token.activation + 1) / 2))]
        cells += [
            (_shown(text)[: right - left], probabilities(0.75 * probability))
            for text, probability in token.successors[:SHOWN_SUCCESSORS]
        ]
        for line, (text, color) in enumerate(cells):
            y = top + line
            corners.append([(left, y), (right, y), (right, y + 1), (left, y + 1)])
            colors.append(color)
            _paint_text(axes, text, ((left + right) / 2, y + 0.52), line, color)
        left = right
    axes.add_collection(PolyCollection(corners, facecolors=colors, linewidth=0, zorder=1))


def _paint_text(
    axes: Axes, text: str, center: tuple[float, float], line: int, color: tuple[float, ...]
) -> None:
    """The text of a cell. The layout ignores it, since it lies within the axes."""
    if text in ("", " "):
        return
    dark = 0.3 * color[0] + 0.6 * color[1] + 0.1 * color[2] < 0.5
    axes.text(
        *center,
        text,
        family="monospace",
        fontsize=11 if line == 0 else 9,
        color="white" if dark else "black",
        ha="center",
        va="center",
    ).set_in_layout(False)


def _shown(text: str) -> str:
    return text.replace("\n", "⏎").replace("\t", "→").replace(" ", "·" if text == " " else " ")
