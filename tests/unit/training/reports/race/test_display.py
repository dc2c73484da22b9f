"""The race on a terminal and in a file."""

from __future__ import annotations

import io

from training.analysis.race.race import Measurement, Race, Racer
from training.reports.race.display import ERASE, RaceDisplay, bars


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def race(steps: int) -> Race:
    """One cell with a measurement at each step."""
    measurements = [
        Measurement(step=step, loss=1.5, accuracy=0.5, context=2, flow=[1.0, 1e-3, 1e-6])
        for step in range(steps)
    ]
    return Race(distance=2, racers=[Racer(cell="gru", parameters=1, measurements=measurements)])


def test_a_terminal_draws_over_the_last_table() -> None:
    """The second table starts as many lines higher as the first one had; a new race does not."""
    stream = Terminal()
    display = RaceDisplay(stream, every_seconds=0)
    display.show(race(1))
    display.show(race(2), last=True)
    assert stream.getvalue().count("\x1b[3A") == 1
    assert stream.getvalue().count(ERASE) == 6
    display.show(race(3))
    assert stream.getvalue().count("\x1b[3A") == 1


def test_a_file_gets_one_line_for_each_cell_and_shown_step() -> None:
    """No escape sequence, and the last measurement is not repeated."""
    stream = io.StringIO()
    display = RaceDisplay(stream, every_seconds=0)
    display.show(race(1))
    display.show(race(2))
    display.show(race(2), last=True)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "GRU" in lines[1]
    assert "gradient at lag 2 1.0e-06" in lines[1]
    assert "\x1b" not in stream.getvalue()


def test_bars_take_means_of_equal_parts() -> None:
    """Values beyond 0 and 1 have the lowest and the highest bar."""
    assert bars([0.0, 0.5, 1.0, 2.0, -1.0], 5) == "▁▅██▁"
    assert bars([0.0, 0.0, 1.0, 1.0], 2) == "▁█"
