"""Bar charts and line charts, drawn by matplotlib, which is imported when a chart is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SERIES_COLORS = ("#1b6ca8", "#e07a1f", "#7a7a7a", "#3d9a50", "#a83279", "#c9a800")
Line = tuple[Sequence[float], Sequence[float]]  # x and y values
PANEL_WIDTH, PANEL_HEIGHT = 4.6, 3.3  # inches


@dataclass(frozen=True)
class Panel:
    """A bar chart: each series has one value in each group (nan: no bar)."""

    title: str
    axis: str
    groups: Sequence[str]
    series: Mapping[str, Sequence[float]]
    logarithmic: bool = False
    significant_digits: int = 2  # of the number above each bar


def bar_charts(panels: Sequence[Sequence[Panel]]) -> Figure:
    """A figure of panels in rows with one legend; series of the same name have the same color."""
    figure, grid = _canvas(len(panels), max(map(len, panels)))
    names = list(dict.fromkeys(name for row in panels for panel in row for name in panel.series))
    colors = {name: SERIES_COLORS[index % len(SERIES_COLORS)] for index, name in enumerate(names)}
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
    """The number of names if they fit into one line of this width, else 1."""
    letters = sum(len(name) + 8 for name in names)  # 8: the color patch and its margins
    return max(1, len(names)) if letters < 14 * inches else 1


def line_chart(title: str, x_label: str, y_label: str, series: Mapping[str, Line]) -> Figure:
    """A figure with a line for each series; the y axis begins at 0."""
    figure, ((axes,),) = _canvas(1, 1, width=7.0)
    for (name, (x, y)), color in zip(series.items(), SERIES_COLORS, strict=False):
        axes.plot(x, y, label=name, color=color, linewidth=1.5)
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    return figure


def _canvas(rows: int, columns: int, width: float = PANEL_WIDTH) -> tuple[Figure, list[list[Axes]]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - tables need no matplotlib

    figure = Figure(figsize=(width * columns, PANEL_HEIGHT * rows + 0.4), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()


def _draw_bars(axes: Axes, panel: Panel, colors: Mapping[str, str]) -> None:
    width = 0.8 / max(1, len(panel.series))
    for index, (name, values) in enumerate(panel.series.items()):
        x = [group + (index + 0.5) * width - 0.4 for group in range(len(panel.groups))]
        container = axes.bar(x, values, width, label=name, color=colors[name])
        digits = panel.significant_digits
        labels = ["" if math.isnan(value) else format_short(value, digits) for value in values]
        axes.bar_label(container, labels, fontsize=6, padding=1)
    axes.set_xticks(range(len(panel.groups)), panel.groups)
    axes.set_title(panel.title, fontsize=10)
    axes.set_ylabel(f"{panel.axis} (log scale)" if panel.logarithmic else panel.axis, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.margins(y=0.12)
    if panel.logarithmic:
        axes.set_yscale("log")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def format_short(value: float, significant_digits: int = 2) -> str:
    """The value with few significant digits and without an exponent: 0.034, 7.4, 1200, 52000."""
    if value == 0:
        return "0"
    decimals = significant_digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):.{max(0, decimals)}f}"
