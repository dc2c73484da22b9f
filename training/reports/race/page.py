"""Report of `race`: the table of distances, and for each of them loss, context and gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.analysis.race.race import RECALLED, Measurement, Race, Racer
from training.analysis.race.recall_task import CHANCE, CHANCE_LOSS, SYMBOLS
from training.reports.gradients.lag_plot import LaggedLine, lag_plot
from training.reports.gradients.plots import NETWORK_COLORS, network_label
from training.reports.html import ReportTable, Section
from training.reports.plotting import GRAY, Plot, draw_plot, format_integers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOW_PANELS = 3  # of the steps at which the gradient is drawn


def race_introduction(*, mixed: bool) -> str:
    """The first paragraph of the page: the task."""
    trained = "every distance up to the given one" if mixed else "the given distance alone"
    return (
        f"Each row is one of {SYMBOLS} symbols, random fillers, and a question whose answer is the "
        f"symbol. The networks are trained on {trained}; all take the same steps on the same rows. "
        f"Guessing gives {CHANCE:.1%} right answers and a loss of {CHANCE_LOSS:.2f} nats."
    )


def race_table(races: Sequence[Race]) -> ReportTable:
    """Right answers at the end, and the step from which on a cell recalls the symbol."""
    rows = [
        (
            str(race.distance),
            network_label(racer.cell),
            f"{racer.measurements[-1].step:,}",
            f"{racer.measurements[-1].loss:.3f}",
            f"{racer.measurements[-1].accuracy:.0%}",
            str(racer.measurements[-1].context),
            f"{racer.measurements[-1].flow[-1]:.1e}",
            _outcome(racer),
        )
        for race in races
        for racer in race.racers
    ]
    header = ("distance", "cell", "steps", "loss", "right", "context", "gradient", "recalls")
    return ReportTable(header, rows)


def race_summary(races: Sequence[Race]) -> str:
    """For each cell the longest distance that it recalled and the first at which it gave up."""
    sentences = []
    for position, racer in enumerate(races[0].racers):
        runs = [(race.distance, race.racers[position].recalled) for race in races]
        failed = next((distance for distance, recalled in runs if not recalled), None)
        reached = [d for d, recalled in runs if recalled and (failed is None or d < failed)]
        name = network_label(racer.cell)
        if failed is None:
            sentences.append(f"{name} recalls the symbol at every distance up to {runs[-1][0]}.")
        elif reached:
            sentences.append(f"{name} recalls it at distance {reached[-1]}, not at {failed}.")
        else:
            sentences.append(f"{name} does not recall it at distance {failed}.")
    return " ".join(sentences)


def race_sections(races: Sequence[Race]) -> list[Section]:
    """The table, and two plots for each distance."""
    sections = [
        Section(
            name="distances",
            title="Where each cell gives up",
            text=f"{race_summary(races)} A cell recalls the symbol where at least {RECALLED:.0%} "
            "of its answers are right. Context is the longest tried distance at which it does, and "
            "gradient is G(k) / G(0) at the symbol.",
            table=race_table(races),
        )
    ]
    for race in races:
        sections += [_curves_section(race), _flow_section(race)]
    return sections


def _outcome(racer: Racer) -> str:
    if racer.diverged:
        return "diverged"
    return "no" if racer.recalled_at is None else f"from step {racer.recalled_at:,}"


def _curves_section(race: Race) -> Section:
    return Section(
        name=f"race-{race.distance}",
        title=f"Distance {race.distance}: loss and context",
        text="Left: the loss of the answer; the gray line is that of guessing. Right: the longest "
        "tried distance at which the symbol is recalled.",
        plot=_curves_plot(race),
    )


def _curves_plot(race: Race) -> Plot:
    def paint(figure: Figure) -> None:
        losses, contexts = figure.subplots(1, 2)
        for racer in race.racers:
            steps = [one.step for one in racer.measurements]
            color, label = NETWORK_COLORS[racer.cell], network_label(racer.cell)
            losses.plot(steps, [one.loss for one in racer.measurements], color=color, label=label)
            contexts.step(
                steps, [one.context for one in racer.measurements], color=color, where="post"
            )
        losses.axhline(CHANCE_LOSS, color=GRAY, linewidth=1.2, linestyle=":")
        losses.set_ylim(0, 1.6 * CHANCE_LOSS)
        losses.set_title("loss in nats")
        contexts.set_ylim(0, 1.05 * race.distance)
        contexts.set_title("context in steps")
        for axes in (losses, contexts):
            axes.set_xlim(left=0)
            axes.set_xlabel("training step")
            format_integers(axes.xaxis)
        figure.legend(loc="outside lower center", ncols=len(race.racers))

    return draw_plot(f"Recall over {race.distance} steps", paint, size=(10.0, 4.8))


def _flow_section(race: Race) -> Section:
    middle = len(race.racers[0].measurements) // 2
    places = list(dict.fromkeys((0, middle, -1)))[:FLOW_PANELS]
    panels = [
        (
            f"step {race.racers[0].measurements[place].step:,}",
            [_line(racer, racer.measurements[place]) for racer in race.racers],
        )
        for place in places
    ]
    return Section(
        name=f"gradient-{race.distance}",
        title=f"Distance {race.distance}: gradient on its way back to the symbol",
        text="G(k) is the norm of the gradient of the answer's loss at the state k steps before "
        "the question; for an LSTM at its cell state. At the right end it arrives at the symbol: "
        "what has vanished there teaches nothing.",
        plot=lag_plot("Gradient flow during the race", panels),
    )


def _line(racer: Racer, measurement: Measurement) -> LaggedLine:
    return LaggedLine(network_label(racer.cell), measurement.flow, NETWORK_COLORS[racer.cell])
