"""The report of a race."""

from __future__ import annotations

from training.analysis.race.race import Measurement, Race, Racer
from training.reports.race.page import race_summary, race_table


def racer(cell: str, *accuracies: float) -> Racer:
    """A cell with a measurement for each accuracy."""
    return Racer(
        cell=cell,
        parameters=9,
        measurements=[
            Measurement(step=i, loss=1 - a, accuracy=a, context=int(4 * a), flow=[1, 0.1, 0.01])
            for i, a in enumerate(accuracies)
        ],
    )


RACES = [
    Race(distance=2, racers=[racer("elman", 0.1, 1.0), racer("gru", 0.1, 1.0)]),
    Race(distance=4, racers=[racer("elman", 0.1, 0.2), racer("gru", 0.1, 0.95)]),
]


def test_the_summary_tells_where_each_cell_gives_up() -> None:
    """The longest distance before the first failure."""
    assert race_summary(RACES) == (
        "Elman recalls it at distance 2, not at 4. "
        "GRU recalls the symbol at every distance up to 4."
    )
    assert race_summary(RACES[1:]).startswith("Elman does not recall it at distance 4.")


def test_the_table_has_a_row_for_each_cell_and_distance() -> None:
    """The last column has the step from which on the symbol is recalled."""
    rows = race_table(RACES).rows
    assert [row[-1] for row in rows] == ["from step 1"] * 2 + ["no", "from step 1"]
