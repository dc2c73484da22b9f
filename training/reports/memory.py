"""Table and figures of `memory`: differences by step, and the half-lives of units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.evaluation.memory import PREDICTION, MemoryResults
from training.reports.html import ReportTable, Section
from training.reports.plotting import (
    COLOR_CYCLE,
    GRAY,
    Plot,
    draw_plot,
    format_integers,
    format_powers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_UNITS = 10
SMALLEST = 1e-5  # smaller differences are drawn there
STYLES = ("-", "--", ":", "-.")
MOST_NAMED = 24  # tokens whose names are on the axis


def half_life_table(results: Sequence[MemoryResults]) -> ReportTable:
    """One row for each layer and the prediction of each model."""
    rows = [
        (
            one.artifact,
            one.cell,
            name,
            f"{one.differences[name][0]:.3g}",
            f"{one.differences[name][-1]:.3g}",
            lasting(half_life, len(one.tokens)),
        )
        for one in results
        for name, half_life in one.half_lives.items()
    ]
    header = ("model", "cell", "difference of", "at first", "at the end", "half-life in tokens")
    return ReportTable(header, rows)


def memory_sections(results: Sequence[MemoryResults]) -> list[Section]:
    """Differences by step for all models, and the units of each."""
    return [
        Section(
            name="memory",
            title="How long a difference lasts",
            text="Distance of the hidden states of each layer relative to their mean length (of an "
            "LSTM also of the cell states), and divergence of the predictions in bits, after each "
            "token that both texts have in common. The half-life is the number of tokens after "
            "which a difference stays at half of the first one or less."
            + (f" Means of {results[0].pairs} pairs." if results[0].pairs > 1 else ""),
            plot=_plot(results),
            table=half_life_table(results),
        ),
        *(_units_section(one, index) for index, one in enumerate(results)),
    ]


def lasting(half_life: int | None, length: int) -> str:
    """A half-life, or that it is longer than the text."""
    return f"more than {length}" if half_life is None else str(half_life)


def _units_section(one: MemoryResults, index: int) -> Section:
    length = len(one.tokens)
    forgetting = sum(unit.half_life is not None for unit in one.units)
    rows = [
        (
            str(unit.layer + 1),
            str(unit.unit),
            f"{unit.first:.3f}",
            f"{unit.last:.3f}",
            lasting(unit.half_life, length),
        )
        for unit in one.units[:SHOWN_UNITS]
    ]
    return Section(
        name=f"units-{index + 1}",
        title=f"{one.artifact}: half-lives of units",
        text=f"{forgetting} of {len(one.units)} units lose half of their difference within "
        f"{length} tokens. The table has the units that differ most at the end.",
        plot=_units_plot(one),
        table=ReportTable(("layer", "unit", "at first", "at the end", "half-life"), rows),
    )


def _plot(results: Sequence[MemoryResults]) -> Plot:
    def paint(figure: Figure) -> None:
        states, predictions = figure.subplots(1, 2, sharex=True)
        for index, one in enumerate(results):
            color, styles = (
                COLOR_CYCLE[index % len(COLOR_CYCLE)],
                iter(STYLES * len(one.differences)),
            )
            for name, values in one.differences.items():
                axes = predictions if name == PREDICTION else states
                style = "-" if name == PREDICTION else next(styles)
                label = one.artifact if name == PREDICTION else f"{one.artifact}, {name}"
                drawn = [max(value, SMALLEST) for value in values]
                axes.plot(drawn, color=color, linestyle=style, label=label)
        states.set_title("distance of the states")
        predictions.set_title("divergence of the predictions in bits")
        for axes in (states, predictions):
            axes.set_yscale("log")
            format_powers(axes.yaxis)
            axes.set_xlim(left=0)
            axes.set_xlabel("common tokens read")
            format_integers(axes.xaxis)
        if results[0].pairs == 1 and len(results[0].tokens) <= MOST_NAMED:
            names = ["(start)", *(token.strip() or repr(token) for token in results[0].tokens)]
            for axes in (states, predictions):
                axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=9)
        handles, labels = states.get_legend_handles_labels()
        columns = min(3, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=10)

    return draw_plot("Difference of two texts along the same tokens", paint)


def _units_plot(one: MemoryResults) -> Plot:
    """For each step the share of units that have lost half of their difference, by layer."""
    length = len(one.tokens)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for layer in range(max(unit.layer for unit in one.units) + 1):
            lives = [unit.half_life for unit in one.units if unit.layer == layer]
            shares = [
                sum(life is None or life > step for life in lives) / len(lives)
                for step in range(length + 1)
            ]
            axes.step(
                range(length + 1),
                shares,
                where="post",
                color=COLOR_CYCLE[layer % len(COLOR_CYCLE)],
                label=f"layer {layer + 1}",
            )
        axes.axhline(0.5, color=GRAY, linewidth=1.2, linestyle=":")
        axes.set_ylim(0, 1.02)
        axes.set_xlim(0, length)
        axes.set_xlabel("common tokens read")
        axes.set_ylabel("share of units above half")
        format_integers(axes.xaxis)
        axes.legend()

    return draw_plot(f"{one.artifact}: units that still remember", paint, size=(8.0, 4.5))
