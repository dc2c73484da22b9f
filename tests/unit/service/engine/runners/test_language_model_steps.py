"""What a runner reports about its steps: every step of a burst, its rows, and the whole time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from model.artifact import Artifact
from service.engine.api.observer import Observer
from service.engine.api.tasks import Generate
from service.kernel.api.interface import GREEDY, RowResult
from tests.support.service.engine_client import language_model
from tests.support.service.turns import OPTIONS, Turns, endless, language_turns


class Bursts(Observer):
    """The reported bursts: their time, and the rows in each of their steps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.rows: list[list[int]] = []

    def steps(self, model: str, seconds: float, rows: Sequence[int]) -> None:  # noqa: ARG002
        self.seconds += seconds
        self.rows.append(list(rows))


@pytest.fixture
def bursts() -> Bursts:
    """A fresh observer."""
    return Bursts()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model whose greedy text does not end."""
    return language_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def turns(artifact: Artifact, bursts: Bursts) -> Turns:
    """A runner with bursts of four steps."""
    return language_turns(artifact, OPTIONS, bursts)


def test_every_step_of_a_burst_is_reported(turns: Turns, bursts: Bursts) -> None:
    """Two streams and a text of three tokens: a burst has as many steps as its longest row, each
    with the rows that took part.
    """
    turns.submit(endless("a"))
    turns.submit(endless("b"))
    turns.take(2)
    turns.submit(Generate(model="m", client="c", prompt="", max_tokens=3, sampling=GREEDY))
    bursts.rows.clear()
    turns.take(2)  # the new one alone, up to its first token; then all
    assert bursts.rows == [[1], [3, 3, 2, 2]]


def test_the_reported_time_is_the_time_in_the_kernel(turns: Turns, bursts: Bursts) -> None:
    """The sum over all bursts is the time that the calls of the kernel took, at least."""
    kernel = turns.runner._kernel
    run, inside = kernel.run, []  # type: ignore[union-attr]

    def timed(*arguments: Any, **options: Any) -> list[RowResult]:
        begun = time.monotonic()
        results = run(*arguments, **options)
        time.sleep(0.002)
        inside.append(time.monotonic() - begun)
        return results

    kernel.run = timed  # type: ignore[method-assign, union-attr]
    turns.submit(endless("a"))
    turns.take(20)
    assert len(inside) == 20
    assert sum(inside) <= bursts.seconds < 2 * sum(inside)


def test_a_report_has_at_least_one_step(artifact: Artifact, tmp_path: Path) -> None:
    """Prompts, scores and searches report steps with at least one row each."""
    seen = Bursts()
    turns = language_turns(artifact, OPTIONS, seen)
    ticket = turns.submit(Generate(model="m", prompt="The keys to", max_tokens=9, n=3))
    turns.until_answered(ticket)
    assert all(rows and all(rows) for rows in seen.rows)
