"""Cells that are trained side by side."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from training.analysis.race.race import Measurement, Race, Racer, run_race, tried_distances
from training.config.race import RaceRequest


def run(request: RaceRequest, is_over: Callable[[], bool] = lambda: False) -> Race:
    """The race at its end."""
    return list(run_race(request, request.distance, is_over))[-1]


def measured(*accuracies: float) -> Racer:
    """A racer with one measurement for each accuracy, 10 steps apart."""
    return Racer(
        cell="gru",
        parameters=1,
        measurements=[
            Measurement(step=10 * index, loss=1.0, accuracy=accuracy, context=0, flow=[1.0])
            for index, accuracy in enumerate(accuracies)
        ],
    )


def test_a_seed_gives_the_same_race() -> None:
    """Every number is equal in a second race, and the clock changes only the number of steps."""
    request = RaceRequest(distance=3, hidden=8, embedding=4, steps=20, every=10, seed=5)
    race, again = run(request), run(request)
    assert race == again
    stopped = run(request, lambda: True)
    for racer, whole in zip(stopped.racers, race.racers, strict=True):
        assert racer.measurements == whole.measurements[:1]


def test_a_cell_races_alone_as_beside_others() -> None:
    """The rows and weights of a cell do not depend on the other cells."""
    sizes = {"distance": 3, "hidden": 8, "embedding": 4, "steps": 10, "every": 10}
    alone = run(RaceRequest(cells="lstm", **sizes)).racers  # type: ignore[arg-type]
    beside = run(RaceRequest(cells="elman,lstm", **sizes)).racers  # type: ignore[arg-type]
    assert alone[0] == beside[1]


def test_a_short_distance_is_learned_and_ends_the_race() -> None:
    """The race ends long before its last step, with a loss below that of guessing."""
    request = RaceRequest(distance=2, cells="gru,additive", hidden=16, steps=2000, every=25)
    for racer in run(request).racers:
        last = racer.measurements[-1]
        assert last.step < 1000
        assert racer.recalled
        assert last.context == 2
        assert last.loss < 1.0
        assert len(last.flow) == 3
        assert last.flow[0] == 1.0


def test_a_cell_that_diverges_is_marked() -> None:
    """It takes no further step, and the race ends with it."""
    request = RaceRequest(
        distance=4, cells="additive", learning_rate=1e30, clip_norm=0, steps=60, every=20
    )
    (racer,) = run(request).racers
    assert racer.diverged
    assert racer.recalled_at is None


@pytest.mark.parametrize(
    ("accuracies", "step"), [((0.1, 0.95, 1.0), 10), ((1.0, 0.2, 0.9), 20), ((1.0, 0.5), None)]
)
def test_recall_counts_from_where_it_stays(accuracies: tuple[float, ...], step: int | None) -> None:
    """A recall that is lost again does not count."""
    assert measured(*accuracies).recalled_at == step


def test_tried_distances_end_at_the_full_one() -> None:
    """At most eight, without repetitions."""
    assert tried_distances(3) == [1, 2, 3]
    assert tried_distances(40) == [5, 10, 15, 20, 25, 30, 35, 40]
    assert tried_distances(1) == [1]
