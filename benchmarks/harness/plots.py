"""Bars beside bars, and lines: the only two kinds of figure there are.

Knows matplotlib, which is looked for when something is drawn and not before, and nothing of what
the numbers mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#1b6ca8", "#e07a1f", "#7a7a7a", "#3d9a50", "#a83279", "#c9a800")
Line = tuple[Sequence[float], Sequence[float]]  # places and values
WIDTH, HEIGHT = 4.6, 3.3  # of one panel, in inches


@dataclass(frozen=True)
class Panel:
    """Bars: for each series one value in each group (nan: none). Lines: see :func:`lines`."""

    title: str
    axis: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float]]
    logarithmic: bool = False
    figures: int = 2  # significant ones on top of each bar


def bars(panels: Sequence[Sequence[Panel]]) -> Figure:
    """Panels in rows; one legend for all, so series of one name have one color."""
    figure, grid = _canvas(len(panels), max(map(len, panels)))
    names = list(dict.fromkeys(name for row in panels for panel in row for name in panel.series))
    colors = {name: COLORS[index % len(COLORS)] for index, name in enumerate(names)}
    for row, axes_row in zip(panels, grid, strict=True):
        for panel, axes in zip(row, axes_row, strict=False):
            _draw_bars(axes, panel, colors)
        for axes in axes_row[len(row) :]:
            axes.set_axis_off()
    handles = {
        label: handle
        for axes_row in grid
        for axes in axes_row
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        fontsize=8,
        ncols=legend_columns(names, figure.get_figwidth()),
    )
    return figure


def legend_columns(names: Sequence[str], inches: float) -> int:
    """One line where the names fit into it, else a line for each."""
    letters = sum(len(name) + 8 for name in names)  # 8: the patch of color and the room around
    return max(1, len(names)) if letters < 14 * inches else 1


def lines(
    title: str,
    across: str,
    axis: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
) -> Figure:
    """One panel with a line for each series: where, and how much; the axis begins at 0."""
    figure, ((axes,),) = _canvas(1, 1, width=7.0)
    for (name, (places, values)), color in zip(series.items(), COLORS, strict=False):
        axes.plot(places, values, label=name, color=color, linewidth=1.5)
    axes.set(title=title, xlabel=across, ylabel=axis)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    return figure


def _canvas(rows: int, columns: int, width: float = WIDTH) -> tuple[Figure, list[list[Axes]]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - numbers need none of it

    figure = Figure(figsize=(width * columns, HEIGHT * rows + 0.4), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()


def _draw_bars(axes: Axes, panel: Panel, colors: Mapping[str, str]) -> None:
    width = 0.8 / max(1, len(panel.series))
    for index, (name, values) in enumerate(panel.series.items()):
        places = [group + (index + 0.5) * width - 0.4 for group in range(len(panel.groups))]
        drawn = axes.bar(places, values, width, label=name, color=colors[name])
        texts = ["" if math.isnan(value) else shortened(value, panel.figures) for value in values]
        axes.bar_label(drawn, texts, fontsize=6, padding=1)
    axes.set_xticks(range(len(panel.groups)), panel.groups)
    axes.set_title(panel.title, fontsize=10)
    axes.set_ylabel(f"{panel.axis} (log scale)" if panel.logarithmic else panel.axis, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.margins(y=0.12)
    if panel.logarithmic:
        axes.set_yscale("log")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def shortened(value: float, figures: int = 2) -> str:
    """Few significant figures, never an exponent: 0.034, 7.4, 1230, 52000."""
    if value == 0:
        return "0"
    digits = figures - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):.{max(0, digits)}f}"
