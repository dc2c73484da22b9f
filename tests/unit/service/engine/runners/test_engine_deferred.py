"""Tasks that the submitting thread runs itself while the engine is idle."""

from __future__ import annotations

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from model.artifact import Artifact
from service.engine.api.observer import Observer
from service.engine.api.tasks import Classify, Event, Generate, NextWord, Score, Task
from service.engine.runners import engine as engine_module
from service.engine.runners.engine import EngineOptions, Ticket
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import (
    PATIENCE,
    EngineClient,
    classifier,
    language_model,
    serving,
    text_of,
)

OPTIONS = EngineOptions(threads=1, kernel="native")
GREEDY = Sampling(temperature=0.0)
SHORT = Generate(model="word", prompt="The", max_tokens=2, sampling=GREEDY)
LONG = Generate(model="word", prompt="The", max_tokens=10**5, sampling=GREEDY)
SHORT_TASKS: tuple[Task, ...] = (
    SHORT,
    Generate(model="word", prompt="The keys", max_tokens=1, n=3, sampling=Sampling(seed=7)),
    Score(model="word", texts=("The keys", "to")),
    NextWord(model="word", prompt="The keys"),
    Classify(model="c", texts=("The keys", "are on the table")),
)


class Turns(Observer):
    """Records the threads that run turns."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def steps(self, model: str, seconds: float, rows: Sequence[int]) -> None:  # noqa: ARG002
        self.threads.add(threading.current_thread().name)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """A word model and a classifier."""
    directory = tmp_path_factory.mktemp("models")
    return {"word": language_model(directory, kind="word"), "c": classifier(directory)}


@pytest.fixture(autouse=True)
def generous(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short is what takes less than a second, so that a busy machine changes no result."""
    monkeypatch.setattr(engine_module, "DEFERRED_SECONDS", 1.0)


@pytest.fixture
def turns() -> Turns:
    """A fresh observer."""
    return Turns()


@pytest.fixture
def served(models: dict[str, Artifact], turns: Turns) -> Iterator[EngineClient]:
    """A running engine that has measured each kind of task."""
    with serving(models, OPTIONS, turns) as opened:
        for task in SHORT_TASKS:
            opened.ask(task)
        turns.threads.clear()
        yield opened


_tickets = itertools.count(1_000_000)


def _latest_ticket() -> int:
    return next(_tickets) - 1


def run_deferred(served: EngineClient, *tasks: Task) -> list[list[Event]]:
    """Submit tasks together, run them in this thread, and return their events so far."""
    tickets = [next(_tickets) for _ in tasks]
    for ticket, task in zip(tickets, tasks, strict=True):
        served.engine.submit(task, ticket, deferred=True)
    events: dict[Ticket, list[Event]] = defaultdict(list)
    for owner, event in served.engine.run_deferred():
        events[owner].append(event)
    return [events[ticket] for ticket in tickets]


def eventually_here(served: EngineClient, task: Task, turns: Turns) -> list[Event]:
    """The events of a task that was run in this thread. The engine's thread may take a task first,
    when it looks for work, which it does every 0.2 seconds.
    """
    for _ in range(20):
        turns.threads.clear()
        (events,) = run_deferred(served, task)
        if events and turns.threads == {threading.current_thread().name}:
            return events
    raise AssertionError("the engine's thread ran every task")


@pytest.mark.parametrize("task", SHORT_TASKS, ids=lambda task: type(task).__name__)
def test_a_short_task_runs_in_the_submitting_thread(
    served: EngineClient, turns: Turns, task: Task
) -> None:
    """Its events are those of the engine's thread, and are returned and not delivered."""
    expected = served.ask(task)
    events = eventually_here(served, task, turns)
    assert events[-1].final
    if isinstance(task, Generate):  # the second reads from the prefix cache
        assert [text_of(events, index) for index in range(task.n)] == [
            text_of(expected, index) for index in range(task.n)
        ]
    else:
        assert events == expected
    answered = [ticket for delivery in served.deliveries for ticket, _ in delivery]
    assert _latest_ticket() not in answered


def test_tasks_submitted_together_share_a_turn(served: EngineClient, turns: Turns) -> None:
    """All tasks of a crowd are answered by one call."""
    for _ in range(20):
        turns.threads.clear()
        results = run_deferred(served, *[SHORT] * 8)
        if turns.threads == {threading.current_thread().name}:
            assert all(events[-1].final for events in results)
            return
    raise AssertionError("the engine's thread ran every task")


def test_a_long_task_is_left_to_the_thread(served: EngineClient, turns: Turns) -> None:
    """A task that takes too long, by its estimate, is run by the engine's thread alone, also if it
    was submitted beside short ones.
    """
    ticket = next(_tickets)
    served.engine.submit(LONG, ticket, deferred=True)
    run_deferred(served, SHORT)
    served.wait_until(lambda: len(served.events[ticket]) > 0)
    assert turns.threads == {"engine"}


def test_a_busy_engine_is_left_to_the_thread(served: EngineClient, turns: Turns) -> None:
    """While another request is open, a short task joins its batch in the engine's thread."""
    stream = served.submit(LONG)
    served.wait_until(lambda: len(served.events[stream]) > 0)
    ticket = next(_tickets)
    served.engine.submit(SHORT, ticket, deferred=True)
    assert served.engine.run_deferred() == []
    assert served.wait(ticket)[-1].final
    assert turns.threads == {"engine"}
    assert not served.events[stream][-1].final


def test_a_turn_has_one_owner(served: EngineClient, turns: Turns) -> None:
    """While another thread owns the turn, the task waits for the engine's thread."""
    ticket = next(_tickets)
    with served.engine._owned:
        served.engine.submit(SHORT, ticket, deferred=True)
        assert served.engine.run_deferred() == []
    assert served.wait(ticket)[-1].final
    assert turns.threads == {"engine"}


def test_the_torch_kernel_stays_in_its_thread(models: dict[str, Artifact], turns: Turns) -> None:
    """Only the engine's thread calls torch, which has a number of threads for each thread."""
    options = EngineOptions(threads=1, kernel="torch")
    with serving(models, options, turns) as opened:
        opened.ask(SHORT)
        ticket = next(_tickets)
        opened.engine.submit(SHORT, ticket, deferred=True)
        assert opened.engine.run_deferred() == []
        assert opened.wait(ticket)[-1].final
    assert turns.threads == {"engine"}


def test_a_search_is_left_to_the_thread(tmp_path: Path, turns: Turns) -> None:
    """The next words of a character model take an unknown number of steps."""
    with serving({"m": language_model(tmp_path)}, OPTIONS, turns) as opened:
        opened.ask(Score(model="m", texts=("The",)))
        ticket = next(_tickets)
        opened.engine.submit(NextWord(model="m", prompt="The k"), ticket, deferred=True)
        assert opened.engine.run_deferred() == []
        assert opened.wait(ticket)[-1].final
    assert turns.threads == {"engine"}


def test_a_cancelled_task_gives_no_event(served: EngineClient) -> None:
    """A task that is cancelled before its turn gives none, and nothing stays open."""
    ticket = next(_tickets)
    served.engine.submit(SHORT, ticket, deferred=True)
    served.engine.cancel(ticket)
    assert [event for owner, event in served.engine.run_deferred() if owner == ticket] == []
    served.ask(SHORT)
    assert served.events[ticket] == []
    assert served.engine.stop(PATIENCE)


def test_threads_and_deferred_tasks_share_the_engine(served: EngineClient) -> None:
    """One thread runs deferred tasks while two submit to the engine: every task gets exactly one
    final event, from either thread, and equal tasks get equal texts.
    """
    here: dict[Ticket, list[Event]] = defaultdict(list)
    tickets: list[Ticket] = [next(_tickets) for _ in range(200)]

    submitted: list[Ticket] = []

    def submit() -> None:
        for _ in range(100):
            submitted.append(served.submit(SHORT))
            time.sleep(0.001)  # the other threads get a chance in between

    def defer() -> None:
        for mine in tickets:
            served.engine.submit(SHORT, mine, deferred=True)
            for owner, event in served.engine.run_deferred():
                here[owner].append(event)

    threads = [threading.Thread(target=work) for work in (submit, submit, defer)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert served.engine.stop(PATIENCE)
    answers = [[*here[ticket], *served.events[ticket]] for ticket in tickets + submitted]
    assert len(answers) == 400
    for events in answers:
        assert [event.final for event in events].count(True) == 1
    assert len({text_of(events) for events in answers}) == 1


def test_a_task_of_a_replaced_runner_ends_on_it(
    models: dict[str, Artifact], served: EngineClient
) -> None:
    """A model that is replaced between the submission and the turn: the task ends on the old
    version, which is then dropped.
    """
    ticket = next(_tickets)
    served.engine.submit(SHORT, ticket, deferred=True)
    served.engine.serve(served.engine.build("word", models["word"]))
    events = [event for owner, event in served.engine.run_deferred() if owner == ticket]
    assert (events or served.wait(ticket))[-1].final
    served.wait_until(lambda: not served.engine.retiring)


def test_a_held_task_leaves_short_tasks_to_the_thread(served: EngineClient) -> None:
    """A task that is held stays open and gets no steps, and a short task beside it is answered."""
    stream = served.submit(LONG)
    served.wait_until(lambda: len(served.events[stream]) > 0)
    served.engine.hold(stream, held=True)
    ticket = next(_tickets)
    served.engine.submit(SHORT, ticket, deferred=True)
    assert served.engine.run_deferred() == []
    assert served.wait(ticket)[-1].final
    assert not served.events[stream][-1].final
