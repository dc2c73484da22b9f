"""Requests that are held because their client does not read."""

from __future__ import annotations

import dataclasses

import pytest

from model.artifact import Artifact
from service.engine.api.observer import Observer
from service.engine.api.tasks import Finished, Generate
from service.kernel.api.interface import GREEDY
from tests.support.service.engine_client import language_model, text_of
from tests.support.service.turns import OPTIONS, ROWS, Turns, endless, language_turns


class Load(Observer):
    """The latest number of running and waiting sequences."""

    last = (0, 0)

    def load(self, model: str, running: int, waiting: int) -> None:  # noqa: ARG002
        """Record it."""
        self.last = running, waiting


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A language model."""
    return language_model(tmp_path_factory.mktemp("model"))


def hold(turns: Turns, ticket: int, *, held: bool) -> None:
    """Hold a request or let it go on."""
    turns.runner.hold(ticket, held=held)


@pytest.mark.parametrize("n", [1, 3])
def test_a_hold_changes_no_text(artifact: Artifact, n: int) -> None:
    """A request that is held twice, once before it has begun, has the text of one that is not."""
    task = Generate(model="m", prompt="The", max_tokens=40, n=n)
    turns = language_turns(artifact)
    plain, held = turns.submit(task), turns.submit(task)
    hold(turns, held, held=True)
    turns.take(3)
    assert turns.events[held] == []
    hold(turns, held, held=False)
    turns.take(3)
    before = len(turns.events[held])
    assert before
    hold(turns, held, held=True)
    hold(turns, held, held=True)
    turns.until_answered(plain)
    turns.take(5)
    assert len(turns.events[held]) == before
    hold(turns, held, held=False)
    turns.until_answered(held)
    for index in range(n):
        assert text_of(turns.events[held], index) == text_of(turns.events[plain], index)


def test_held_requests_leave_the_rows_to_others(artifact: Artifact) -> None:
    """A held request has no row and does not count as waiting; with nothing else the runner has
    no work, and is still busy.
    """
    load = Load()
    turns = language_turns(artifact, observer=load)
    crowd = [turns.submit(endless("a")) for _ in range(3 * ROWS)]
    turns.take(5)
    for ticket in crowd:
        hold(turns, ticket, held=True)
    assert load.last == (0, 0)
    assert turns.runner.busy
    assert not turns.runner.ready
    other = turns.submit(Generate(model="m", client="b", prompt="", max_tokens=4, sampling=GREEDY))
    turns.until_answered(other)
    assert turns.runner.admission.used == 3 * ROWS
    for ticket in crowd:
        hold(turns, ticket, held=False)
    turns.take()
    assert load.last == (ROWS, 2 * ROWS)


def test_a_held_request_expires_and_is_cancelled(artifact: Artifact) -> None:
    """The deadline of a held request ends it with the text so far; a cancelled one frees its
    places; a late release of either is ignored.
    """
    turns = language_turns(artifact, dataclasses.replace(OPTIONS, rows=2))
    late, gone = turns.submit(endless("a", 2)), turns.submit(endless("a"))
    turns.take(10)
    for ticket in (late, gone):
        hold(turns, ticket, held=True)
    turns.runner._requests[late].deadline_seconds = 0.0
    turns.runner.cancel(gone)
    turns.take()
    ends = [event for event in turns.events[late] if isinstance(event, Finished)]
    assert {end.reason for end in ends} == {"deadline"}
    for ticket in (late, gone, 99):
        hold(turns, ticket, held=False)
    assert turns.runner.admission.used == 0
    assert not turns.runner.busy
