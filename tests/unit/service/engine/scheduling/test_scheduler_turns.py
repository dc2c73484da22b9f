"""Priority of first tokens: sequences without one run before running streams, within limits."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest

from model.artifact import Artifact
from service.engine.api.observer import Observer
from service.engine.api.tasks import Event, Generate, NextWord, NextWordsFound, Task, Token
from service.engine.runners import language_model as runner_module
from service.engine.runners.engine import EngineOptions
from service.engine.runners.language_model import PRIORITY_STEPS, LanguageModelRunner
from service.kernel.api.interface import GREEDY
from tests.support.service.engine_client import language_model, token_count

BURST = 4
PROMPT = "The keys to the cabinet"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model."""
    return language_model(tmp_path_factory.mktemp("models"))


class Turns:
    """A runner whose turns the test takes one by one."""

    def __init__(self, artifact: Artifact) -> None:
        options = EngineOptions(threads=1, burst_steps=BURST, state_cache_bytes=0)
        self._runner = LanguageModelRunner("m", artifact, options, Observer())
        self._tickets = itertools.count()

    def submit(self, task: Task) -> int:
        """Takes a task, as the engine would between two turns."""
        request = self._runner.prepare(task)
        request.ticket = next(self._tickets)
        self._runner.admission.take(request.size)
        self._runner.accept(request)
        return int(str(request.ticket))

    def take(self) -> dict[object, list[Event]]:
        """The events of one turn, by ticket."""
        events: dict[object, list[Event]] = {}
        for ticket, event in self._runner.step():
            events.setdefault(ticket, []).append(event)
        return events


@pytest.fixture
def turns(artifact: Artifact) -> Turns:
    """Nothing is running yet."""
    return Turns(artifact)


def endless(prompt: str = "") -> Generate:
    """A stream that goes on for as long as a test may last."""
    return Generate(model="m", prompt=prompt, max_tokens=10_000, sampling=GREEDY)


def running(turns: Turns) -> int:
    """The ticket of a stream that has had its last turn."""
    ticket = turns.submit(endless())
    turns.take()
    assert token_count(turns.take()[ticket]) == BURST
    return ticket


def test_a_first_token_comes_ahead_of_running_streams(turns: Turns) -> None:
    """The prompt is read and one token sampled in a turn of its own; then all sequences run."""
    old = running(turns)
    new = turns.submit(endless(PROMPT))
    first = turns.take()
    assert list(first) == [new]
    assert [type(event) for event in first[new]] == [Token]
    assert {ticket: token_count(events) for ticket, events in turns.take().items()} == {
        old: 4,
        new: 4,
    }


def test_a_next_word_comes_ahead_of_running_streams(tmp_path: Path) -> None:
    """A next-word request has the priority of a first token."""
    turns = Turns(language_model(tmp_path, "word"))
    running(turns)
    asked = turns.submit(NextWord(model="m", prompt="The keys to the", top=3))
    assert [type(event) for event in turns.take()[asked]] == [NextWordsFound]


def test_a_long_prompt_takes_turns_with_running_streams(turns: Turns) -> None:
    """Streams run after every chunk of it, and it runs with them."""
    old = running(turns)
    new = turns.submit(endless("a" * 3 * PRIORITY_STEPS))
    seen = [turns.take() for _ in range(6)]
    assert [token_count(turn.get(old, [])) for turn in seen] == [0, BURST] * 3
    assert [len(turn.get(new, [])) for turn in seen[:4]] == [0, 0, 0, 0]
    assert new in seen[4]


def test_newcomers_follow_newcomers(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within PRIORITY_SECONDS, each gets its first token before any gets its second."""
    monkeypatch.setattr(runner_module, "PRIORITY_SECONDS", math.inf)
    running(turns)
    for _ in range(5):
        new = turns.submit(endless(PROMPT))
        assert list(turns.take()) == [new]


def test_patience_ends(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """After PRIORITY_SECONDS, running streams run in every second turn, for any number of
    arrivals.
    """
    monkeypatch.setattr(runner_module, "PRIORITY_SECONDS", 0.0)
    old = running(turns)
    moved = []
    for _ in range(6):
        turns.submit(endless(PROMPT))
        moved.append(old in turns.take())
    assert moved == [False, True] * 3
