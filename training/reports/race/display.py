"""The race while it runs: on a terminal a table that is drawn again, otherwise one line per cell.

The table needs no more than the two oldest escape sequences (cursor up, erase to the end of the
line), so no library is used for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TextIO

from training.analysis.race.race import Measurement, Race, Racer
from training.analysis.race.recall_task import CHANCE_LOSS
from training.reports.gradients.plots import network_label

NAME_WIDTH = 11
BARS = "▁▂▃▄▅▆▇█"
CURVE_WIDTH, FLOW_WIDTH = 24, 24  # characters
SMALLEST_POWER = -8  # of ten; smaller gradients have the lowest bar
UP, ERASE = "\x1b[{}A", "\x1b[K"


class RaceDisplay:
    """Shows the measurements of a race.

    Args:
        stream: a terminal gets the live table.
        every_seconds: the least time between two drawings, and 30 times that between lines.
    """

    def __init__(self, stream: TextIO, *, every_seconds: float = 0.3) -> None:
        self._stream, self._live = stream, stream.isatty()
        self._every = every_seconds if self._live else 30 * every_seconds
        self._lines, self._shown = 0, -math.inf
        self._drawn: tuple[int, int] | None = None

    def show(self, race: Race, *, last: bool = False) -> None:
        """Draws the latest measurements. Those of ``last`` are always drawn and stay."""
        now = time.monotonic()
        key = race.distance, race.racers[0].measurements[-1].step
        if key != self._drawn and (last or now - self._shown >= self._every):
            self._draw(race)
            self._shown, self._drawn = now, key
        if last:
            self._lines = 0

    def _draw(self, race: Race) -> None:
        lines = live_lines(race) if self._live else plain_lines(race)
        with suppress(OSError):  # a closed terminal does not end the race
            self._write(lines)

    def _write(self, lines: Sequence[str]) -> None:
        if self._live:
            above = UP.format(self._lines) if self._lines else ""
            self._stream.write(above + "".join(f"{line}{ERASE}\n" for line in lines))
            self._lines = len(lines)
        else:
            self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()


def live_lines(race: Race) -> list[str]:
    """A heading and a row for each cell, with bars of the loss by step and of G(k) by k."""
    step = race.racers[0].measurements[-1].step
    head = (
        f"{'':{NAME_WIDTH}}  {'loss':>5} {'':{CURVE_WIDTH}}  {'right':>5}  {'context':>7}  "
        f"gradient k = 0 .. {race.distance}"
    )
    return [
        f"distance {race.distance}, step {step:,}",
        head.rstrip(),
        *(_live_row(racer) for racer in race.racers),
    ]


def _live_row(racer: Racer) -> str:
    now = racer.measurements[-1]
    losses = [one.loss / CHANCE_LOSS for one in racer.measurements]
    flow = [1 - math.log10(max(value, 10**SMALLEST_POWER)) / SMALLEST_POWER for value in now.flow]
    return (
        f"{network_label(racer.cell):{NAME_WIDTH}}  {_loss(racer, now):>5} "
        f"{bars(losses, CURVE_WIDTH):{CURVE_WIDTH}}  {now.accuracy:5.0%}  {now.context:7}  "
        f"{bars(flow, FLOW_WIDTH):{FLOW_WIDTH}} {now.flow[-1]:.0e}"
    )


def plain_lines(race: Race) -> list[str]:
    """One line for each cell."""
    return [
        f"distance {race.distance}  step {now.step:6,}  {network_label(racer.cell):{NAME_WIDTH}}  "
        f"loss {_loss(racer, now)}  right {now.accuracy:4.0%}  context {now.context:3}  "
        f"gradient at lag {race.distance} {now.flow[-1]:.1e}"
        for racer in race.racers
        for now in racer.measurements[-1:]
    ]


def _loss(racer: Racer, now: Measurement) -> str:
    return "inf" if racer.diverged else f"{now.loss:.3f}"


def bars(values: Sequence[float], width: int) -> str:
    """Values from 0 to 1 as bars, at most ``width``; each is the mean of its share of the values.

    >>> bars([0.0, 0.5, 1.0, 2.0], 4), bars([0.0, 0.0, 1.0, 1.0], 2)
    ('▁▅██', '▁█')
    """
    count = min(width, len(values))
    edges = [round(len(values) * part / count) for part in range(count + 1)]
    parts = [values[low:high] for low, high in pairwise(edges)]
    means = [sum(part) / len(part) for part in parts]
    return "".join(BARS[min(len(BARS) - 1, max(0, int(mean * len(BARS))))] for mean in means)
