"""Lines over the lag on a logarithmic scale, with their names at the right end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.reports.plotting import Plot, draw_plot, format_powers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABEL_GAP = 0.055  # minimum distance of the names of two lines, as a share of the panel's height
SMALLEST_RATIO, LARGEST_RATIO = 1e-16, 1e4  # beyond these a line leaves the panel


@dataclass(frozen=True, slots=True)
class LaggedLine:
    """One line of a panel over the lag, with its name."""

    label: str
    values: Sequence[float]
    color: str
    style: str = "-"


def lag_plot(
    title: str,
    panels: Sequence[tuple[str, Sequence[LaggedLine]]],
    *,
    largest: float = LARGEST_RATIO,
) -> Plot:
    """Panels side by side over the lag, with one logarithmic scale up to ``largest``."""
    values = [value for _, lines in panels for line in lines for value in line.values]
    bottom = max(SMALLEST_RATIO, min(values)) / 2
    top = min(largest, max(values)) * 2

    def paint(figure: Figure) -> None:
        row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (name, lines) in zip(row, panels, strict=True):
            for line in lines:
                positive = [value if value > 0 else math.nan for value in line.values]
                axes.plot(positive, color=line.color, linestyle=line.style)
            axes.set_yscale("log")
            format_powers(axes.yaxis)
            axes.set_ylim(bottom, top)
            axes.set_xlim(0, len(lines[0].values) - 1)
            axes.set_title(name)
            axes.set_xlabel("lag $k$ in steps", parse_math=True)
            _label_ends(axes, lines)
        row[0].set_ylabel(r"gradient at lag $k$, $G(k)\,/\,G(0)$", parse_math=True)

    return draw_plot(title, paint)


def _label_ends(axes: Axes, lines: Sequence[LaggedLine]) -> None:
    """Writes each line's name beside its right end; names that would overlap are moved apart."""
    low, high = (math.log(limit) for limit in axes.get_ylim())
    by_height = sorted((line for line in lines if line.label), key=lambda line: line.values[-1])
    heights = [
        min(1.0, max(0.0, (math.log(max(line.values[-1], SMALLEST_RATIO)) - low) / (high - low)))
        for line in by_height
    ]
    for line, height in zip(by_height, spread_apart(heights, LABEL_GAP), strict=True):
        axes.annotate(
            line.label if line.values[-1] <= axes.get_ylim()[1] else f"{line.label} ↑",
            (1.02, height),
            xycoords="axes fraction",
            color=line.color,
            fontsize=11,
            va="center",
            annotation_clip=False,
            parse_math=True,
        )


def spread_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Moves heights so that neighbors are at least ``gap`` apart, all between 0 and 1.

    The sum of the squared moves is minimal (isotonic regression by pooling adjacent violators).

    Args:
        heights: in ascending order.
        gap: is reduced where the heights would not fit.
    """
    gap = min(gap, 1.0 / max(1, len(heights) - 1))
    blocks = list[tuple[float, int]]()  # mean of height − rank × gap, and number of heights
    for rank, height in enumerate(heights):
        mean, count = height - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            previous_mean, previous_count = blocks.pop()
            total = count + previous_count
            mean, count = (mean * count + previous_mean * previous_count) / total, total
        blocks.append((mean, count))
    highest = 1.0 - (len(heights) - 1) * gap
    offsets = [min(highest, max(0.0, mean)) for mean, count in blocks for _ in range(count)]
    return [offset + rank * gap for rank, offset in enumerate(offsets)]


def relative(values: Sequence[float]) -> list[float]:
    """The values divided by the first one; zeros if that is 0."""
    return [value / values[0] if values[0] > 0 else 0.0 for value in values]
