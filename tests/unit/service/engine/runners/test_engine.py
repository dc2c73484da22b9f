"""The engine through its interface: refusals, cancellation, deadlines, failures, stopping."""

# ruff: noqa: ARG002 an observer does not use all arguments

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from model.artifact import Artifact
from service.engine.api.errors import (
    DeadlineExceeded,
    Draining,
    InvalidTask,
    QueueFull,
    StartError,
    StepFailed,
)
from service.engine.api.observer import EndReason, Observer
from service.engine.api.tasks import (
    Classify,
    Failed,
    Finished,
    Generate,
    NextWord,
    Score,
    Task,
    TextsClassified,
    Token,
)
from service.engine.runners import engine as engine_module
from service.engine.runners.engine import EngineOptions
from service.engine.runners.language_model import LanguageModelRunner
from service.kernel.api.interface import RowResult, RowWork, Sampling
from tests.support.service.engine_client import (
    PATIENCE,
    EngineClient,
    classifier,
    finished_of,
    language_model,
    serving,
    text_of,
)

# Greedy, so that [END] never comes.
ENDLESS = Generate(
    model="m", prompt="The", max_tokens=10**6, sampling=Sampling(temperature=0.0, top_k=1)
)


class Recorder(Observer):
    """Records all calls."""

    def __init__(self) -> None:
        self.ends: Counter[EndReason] = Counter()
        self.loads: list[tuple[int, int]] = []
        self.prompt = self.generated = 0
        self.first_tokens: list[float] = []
        self.gaps: list[float] = []
        self.queue_times: list[float] = []
        self.rejections: list[str] = []

    def finished(self, model: str, reason: EndReason) -> None:
        self.ends[reason] += 1

    def load(self, model: str, running: int, waiting: int) -> None:
        self.loads.append((running, waiting))

    def tokens(self, model: str, prompt: int, generated: int) -> None:
        self.prompt += prompt
        self.generated += generated

    def steps(self, model: str, seconds: float, rows: Sequence[int]) -> None:
        assert all(rows)

    def first_token(self, model: str, seconds: float) -> None:
        self.first_tokens.append(seconds)

    def inter_token(self, model: str, seconds: float, count: int) -> None:
        self.gaps += [seconds] * count

    def queued(self, model: str, seconds: float) -> None:
        self.queue_times.append(seconds)

    def rejected(self, model: str, reason: str) -> None:
        self.rejections.append(reason)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model whose greedy text does not end."""
    return language_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def recorder() -> Recorder:
    """A fresh observer."""
    return Recorder()


@pytest.fixture
def narrow(artifact: Artifact, recorder: Recorder) -> Iterator[EngineClient]:
    """An engine with two rows and two waiting places."""
    options = EngineOptions(threads=1, rows=2, waiting=2)
    with serving({"m": artifact}, options, recorder) as served:
        yield served


def wait_for_tokens(served: EngineClient, ticket: int, count: int = 1) -> None:
    """Wait until the ticket has ``count`` events."""
    served.wait_until(lambda: len(served.events[ticket]) >= count)


def test_a_full_queue_refuses_with_a_time(narrow: EngineClient, recorder: Recorder) -> None:
    """Two run, two wait, and the fifth is refused; the next request takes a freed place."""
    tickets = [narrow.submit(ENDLESS) for _ in range(4)]
    with pytest.raises(QueueFull) as refused:
        narrow.submit(ENDLESS)
    assert 0 < refused.value.retry_after_seconds < 600
    assert recorder.rejections == ["queue_full"]
    narrow.engine.cancel(tickets[0])
    wait_for_tokens(narrow, tickets[2])
    narrow.submit(ENDLESS)


def test_who_comes_first_is_served_first(narrow: EngineClient) -> None:
    """Requests get rows in the order of their submission."""
    holders = [narrow.submit(ENDLESS) for _ in range(2)]
    wait_for_tokens(narrow, holders[1])
    short = Generate(model="m", prompt="a", max_tokens=3, sampling=Sampling(temperature=0.0))
    waiting = [narrow.submit(short) for _ in range(2)]
    narrow.engine.cancel(holders[0])
    narrow.wait(waiting[1])
    first = [ticket for delivery in narrow.deliveries for ticket, _ in delivery]
    assert first.index(waiting[0]) < first.index(waiting[1])


def test_choices_take_rows_as_they_are_free(narrow: EngineClient) -> None:
    """Two choices use one row in turn, beside a stream; more choices than rows are refused."""
    holder = narrow.submit(ENDLESS)
    wait_for_tokens(narrow, holder)
    pair = narrow.submit(Generate(model="m", prompt="a", max_tokens=2, n=2))
    assert len(finished_of(narrow.wait(pair))) == 2
    assert not narrow.events[holder][-1].final
    with pytest.raises(InvalidTask, match="n: expected 1 to 2, got 3"):
        narrow.submit(Generate(model="m", prompt="a", max_tokens=2, n=3))


def test_cancelling_frees_the_row_at_once(narrow: EngineClient, recorder: Recorder) -> None:
    """Running, waiting, finished and unknown tickets: no event follows and no row is lost."""
    running = [narrow.submit(ENDLESS) for _ in range(2)]
    wait_for_tokens(narrow, running[1])
    waiting = narrow.submit(ENDLESS)
    for ticket in (waiting, *running, running[0], 12345):
        narrow.engine.cancel(ticket)
    after = narrow.submit(Generate(model="m", prompt="a", max_tokens=3))
    narrow.wait(after)
    counts = [len(narrow.events[ticket]) for ticket in running]
    narrow.ask(Generate(model="m", prompt="a", max_tokens=3))
    assert [len(narrow.events[ticket]) for ticket in running] == counts
    assert narrow.events[waiting] == []
    assert recorder.ends["cancelled"] == 3
    assert recorder.loads[-1] == (0, 0)


def test_a_deadline_ends_a_running_text(narrow: EngineClient, recorder: Recorder) -> None:
    """A generation ends with its tokens and reason "deadline"; a score or a search fails."""
    task = Generate(
        model="m",
        prompt="The",
        max_tokens=10**6,
        n=2,
        deadline_seconds=1.0,
        sampling=Sampling(temperature=0.0),
    )
    events = narrow.ask(task)
    assert {event.reason for event in finished_of(events).values()} == {"deadline"}
    assert len(text_of(events)) > 0
    assert sum(event.final for event in events) == 1
    (failed,) = narrow.ask(Score(model="m", texts=("key " * 20_000,) * 2, deadline_seconds=0.5))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, DeadlineExceeded)
    assert recorder.ends["deadline"] == 4
    assert recorder.loads[-1] == (0, 0)


def test_a_deadline_that_passes_in_the_queue_is_an_error(narrow: EngineClient) -> None:
    """A request that never ran fails; running requests continue."""
    holders = [narrow.submit(ENDLESS) for _ in range(2)]
    for ticket in holders:
        wait_for_tokens(narrow, ticket)
    late = narrow.submit(Generate(model="m", prompt="a", max_tokens=2, deadline_seconds=0.0))
    (failed,) = narrow.wait(late)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, DeadlineExceeded)
    assert not any(narrow.events[ticket][-1].final for ticket in holders)


def test_a_step_that_fails_fails_only_its_sequences(
    narrow: EngineClient,
    artifact: Artifact,
    recorder: Recorder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Requests in the step fail, the cause is logged, and waiting requests are served."""
    expected = narrow.text(Generate(model="m", prompt="a", max_tokens=5))
    broken = [narrow.submit(ENDLESS) for _ in range(2)]
    wait_for_tokens(narrow, broken[1])
    waiting = narrow.submit(Generate(model="m", prompt="a", max_tokens=5))
    runner = narrow.engine._runners["m"]
    assert isinstance(runner, LanguageModelRunner)
    run = runner._kernel.run

    def explode(work: Sequence[RowWork], steps: int, **limits: Any) -> list[RowResult]:
        runner._kernel.run = run  # type: ignore[method-assign]
        raise FloatingPointError("the weights are on fire")

    runner._kernel.run = explode  # type: ignore[method-assign]
    for ticket in broken:
        failed = narrow.wait(ticket)[-1]
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, StepFailed)
        assert "fire" not in str(failed.error)
    assert text_of(narrow.wait(waiting)) == expected
    assert "the weights are on fire" in caplog.text
    assert recorder.ends["error"] == 2


def test_draining_lets_what_was_taken_finish(narrow: EngineClient, recorder: Recorder) -> None:
    """New tasks are refused, accepted ones complete, and stop returns True."""
    task = Generate(model="m", prompt="The", max_tokens=200, sampling=Sampling(temperature=0.0))
    tickets = [narrow.submit(task) for _ in range(4)]
    narrow.engine.drain()
    with pytest.raises(Draining):
        narrow.submit(task)
    assert narrow.engine.draining
    assert narrow.engine.stop(60.0)
    assert {text_of(narrow.events[ticket]) for ticket in tickets} == {text_of(narrow.events[0])}
    assert recorder.ends == {"length": 4}
    assert recorder.rejections == ["draining"]


def test_stopping_ends_what_does_not_finish_in_time(narrow: EngineClient) -> None:
    """Tasks get one final event each, those that have begun with a state, and the thread ends."""
    tickets = [narrow.submit(ENDLESS) for _ in range(4)]
    wait_for_tokens(narrow, tickets[0])
    assert not narrow.engine.stop(0.05)
    for ticket in tickets:
        *begun, last = narrow.events[ticket]
        assert isinstance(last, Finished if begun else Failed)
        assert isinstance(last, Failed) or (last.reason, bool(last.state)) == ("drained", True)
        assert sum(event.final for event in narrow.events[ticket]) == 1
    assert "engine" not in {thread.name for thread in threading.enumerate()}
    narrow.engine.stop(0.0)
    with pytest.raises(Draining):
        narrow.submit(ENDLESS)


def test_an_engine_that_was_never_started_can_be_stopped(artifact: Artifact) -> None:
    """A failed start-up can clean up."""
    with serving({"m": artifact}, start=False) as served:
        assert served.engine.stop(0.0)


def test_an_engine_without_threads_reports_it(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the system allows no more threads, the error names the limit before anything runs."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(StartError, match="can't start new thread; raise the limits"):
        EngineClient({"m": artifact})


def test_the_heartbeat_moves_while_idle_and_while_busy(narrow: EngineClient) -> None:
    """The heartbeat follows the loop, not the load, and stops with the thread."""
    _see_beats(narrow, 3)
    narrow.submit(ENDLESS)
    _see_beats(narrow, 3)
    narrow.engine.stop(0.0)
    stopped = narrow.engine.heartbeat_age()
    time.sleep(0.3)
    assert narrow.engine.heartbeat_age() >= stopped + 0.3


def _see_beats(served: EngineClient, count: int) -> None:
    """Until the age has fallen so many times; a hang fails."""
    give_up = time.monotonic() + PATIENCE
    age = served.engine.heartbeat_age()
    while count > 0:
        assert time.monotonic() < give_up, "the heartbeat stands still"
        time.sleep(0.002)
        before, age = age, served.engine.heartbeat_age()
        count -= age < before


def test_events_of_a_turn_come_in_one_call(artifact: Artifact) -> None:
    """Eight concurrent streams share their deliveries."""
    with serving({"m": artifact}, EngineOptions(threads=1, burst_steps=1), start=False) as served:
        task = Generate(model="m", prompt="a", max_tokens=20, sampling=Sampling(temperature=0.0))
        tickets = [served.submit(task) for _ in range(8)]
        served.engine.start()
        for ticket in tickets:
            served.wait(ticket)
    assert len(served.deliveries) == 20
    assert all({ticket for ticket, _ in one} == set(tickets) for one in served.deliveries)


def test_requests_that_arrive_together_are_batched(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two submissions the loop waits for a third; all get a first token in one delivery."""
    monkeypatch.setattr(engine_module, "BATCHING_WINDOW_GAP_SECONDS", PATIENCE)
    monkeypatch.setattr(engine_module, "BATCHING_WINDOW_SECONDS", 0.0)
    with serving({"m": artifact}, start=False) as opened:
        task = Generate(model="m", prompt="", max_tokens=5, sampling=Sampling(temperature=0.0))
        tickets = [opened.submit(task), opened.submit(task)]
        opened.engine.start()
        tickets.append(opened.submit(task))
        for ticket in tickets:
            opened.wait(ticket)
        assert [ticket for ticket, _ in opened.deliveries[0]] == tickets


def test_models_run_side_by_side(tmp_path: Path, artifact: Artifact) -> None:
    """A stream of one model continues while another model classifies long texts in slices."""
    models = {"m": artifact, "c": classifier(tmp_path)}
    options = EngineOptions(threads=1, classifier_slice_tokens=64)
    with serving(models, options) as served:
        stream = served.submit(ENDLESS)
        wait_for_tokens(served, stream)
        before = len(served.events[stream])
        (results,) = served.ask(Classify(model="c", texts=("the keys " * 1000,)))
        assert isinstance(results, TextsClassified)
        assert len(served.events[stream]) - before > 100


def test_the_observer_hears_everything(narrow: EngineClient, recorder: Recorder) -> None:
    """Tokens, first tokens, gaps, queue times and ends agree with the requests served."""
    tasks: list[Task] = [
        Generate(model="m", prompt="The", max_tokens=5, n=2, sampling=Sampling(temperature=0.0)),
        Score(model="m", texts=("keys", "to")),
        NextWord(model="m", prompt="The k", top=2),
    ]
    for task in tasks:
        events = narrow.ask(task)
        assert not isinstance(events[-1], Failed)
    narrow.engine.stop(10.0)
    assert recorder.ends == {"length": 2, "done": 3}
    assert recorder.prompt == (3 + 1) + 4 + 2 + 3  # what was read before is not read again
    assert recorder.generated == 10
    assert (len(recorder.first_tokens), len(recorder.gaps)) == (2, 8)
    assert len(recorder.queue_times) == 5
    assert all(
        seconds >= 0 for seconds in recorder.first_tokens + recorder.gaps + recorder.queue_times
    )
    assert recorder.loads[-1] == (0, 0)
    assert max(running for running, _ in recorder.loads) == 2


def test_threads_that_submit_and_cancel_at_once_do_no_harm(artifact: Artifact) -> None:
    """Four threads: every task that is not cancelled gets exactly one final event, the last one."""
    lost: list[int] = []
    with serving({"m": artifact}, EngineOptions(threads=1, rows=8, waiting=10_000)) as served:

        def client(number: int) -> None:
            for turn in range(25):
                task = Generate(
                    model="m", prompt="", max_tokens=6, sampling=Sampling(seed=number * 100 + turn)
                )
                ticket = served.submit(task)
                if turn % 3 == 0:
                    served.engine.cancel(ticket)
                    lost.append(ticket)
                else:
                    served.wait(ticket)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served.engine.stop(60.0)
        for ticket, events in served.events.items():
            finals = [event.final for event in events]
            assert finals[:-1] == [False] * (len(finals) - 1)
            assert finals[-1] or ticket in lost
            assert all(isinstance(event, Token | Finished) for event in events)
