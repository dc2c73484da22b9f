"""No client and no request holds others up: rows, paused sequences, batches of texts."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch

from model.architecture import CELLS, Cell
from model.artifact import Artifact
from model.state import State
from service.engine.classifier_runner import ClassifierRunner
from service.engine.engine import EngineOptions
from service.engine.errors import DeadlineExceeded, StepFailed
from service.engine.generation import Choice
from service.engine.language_model_runner import LanguageModelRunner
from service.engine.observer import EndReason, Observer
from service.engine.tasks import (
    Classify,
    Event,
    Failed,
    Finished,
    Generate,
    NextWord,
    NextWordsFound,
    Score,
    Task,
    TextsClassified,
    TextsScored,
)
from service.kernel.interface import GREEDY, LogitSlices, Sampling
from service.kernel.layout import Precision
from tests.service.engine.serving import classifier, desk, finished_of, language_model, text_of

ROWS = 8
OPTIONS = EngineOptions(
    threads=1,
    kernel="native",
    rows=ROWS,
    waiting=2000,
    burst_steps=4,
    slice_steps=8,
    state_cache_bytes=0,
)
SOON = 12  # turns


class Load(Observer):
    """Notes the last load and how sequences ended."""

    def __init__(self) -> None:
        self.last = (0, 0)
        self.ends: Counter[EndReason] = Counter()
        self.most_running = 0

    def load(self, model: str, running: int, waiting: int) -> None:  # noqa: ARG002
        self.last = running, waiting
        self.most_running = max(self.most_running, running)

    def finished(self, model: str, reason: EndReason) -> None:  # noqa: ARG002
        self.ends[reason] += 1


class Turns:
    """A runner whose turns the test takes one by one."""

    def __init__(self, runner: LanguageModelRunner | ClassifierRunner) -> None:
        self.runner = runner
        self._tickets = itertools.count()
        self.events: dict[object, list[Event]] = {}

    def submit(self, task: Task) -> int:
        """Takes a task, as the engine would between two turns."""
        request = self.runner.prepare(task)
        ticket = next(self._tickets)
        request.ticket, request.client = ticket, task.client
        self.runner.admission.take(request.size, request.client)
        self.runner.accept(request)
        self.events[ticket] = []
        return ticket

    def take(self, count: int = 1) -> None:
        """So many turns."""
        for _ in range(count):
            for ticket, event in self.runner.step():
                self.events[ticket].append(event)

    def until_answered(self, ticket: int, limit: int = 10**6) -> int:
        """How many turns it takes to the ticket's last event."""
        for turns in range(1, limit + 1):
            self.take()
            if self.events[ticket] and self.events[ticket][-1].final:
                return turns
        raise AssertionError(f"not answered within {limit} turns")


def language_turns(
    artifact: Artifact, options: EngineOptions = OPTIONS, observer: Observer | None = None
) -> Turns:
    """A language model's turns."""
    return Turns(LanguageModelRunner("m", artifact, options, observer or Observer()))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model whose greedy text does not end."""
    return language_model(tmp_path_factory.mktemp("models"))


def endless(client: str, n: int = 1) -> Generate:
    """A stream that goes on for as long as a test may last."""
    return Generate(model="m", client=client, prompt="The", max_tokens=10**6, n=n, sampling=GREEDY)


HOGS: dict[str, Callable[[str], Task]] = {
    "choices": lambda client: endless(client, ROWS),
    "streams": endless,
    "texts": lambda client: Score(model="m", client=client, texts=("key " * 50,) * 64),
    "searches": lambda client: NextWord(model="m", client=client, prompt="The k" * 100, top=50),
    "prompts": lambda client: Generate(
        model="m", client=client, prompt="key " * 500, max_tokens=1, n=2
    ),
}
SHORT: dict[str, tuple[Task, type[Event]]] = {
    "token": (Generate(model="m", prompt="The", max_tokens=1), Finished),
    "text": (Score(model="m", texts=("The",)), TextsScored),
    "word": (NextWord(model="m", prompt="The k", top=1), NextWordsFound),
}


@pytest.mark.parametrize("short", SHORT)
@pytest.mark.parametrize("hog", HOGS)
@pytest.mark.parametrize("client", ["same", "other"])
def test_a_short_request_is_answered_soon(
    artifact: Artifact, hog: str, short: str, client: str
) -> None:
    """Behind 20 long requests of one client, another client's as its own has its answer after a few
    turns: of a search, as many more as it has rounds.
    """
    options = dataclasses.replace(OPTIONS, search_expansions=16)
    turns = language_turns(artifact, options)
    for _ in range(20):
        turns.submit(HOGS[hog]("same"))
    turns.take(10)
    task, answer = SHORT[short]
    ticket = turns.submit(dataclasses.replace(task, client=client))
    taken = turns.until_answered(ticket, 20 * SOON)
    assert isinstance(turns.events[ticket][-1], answer)
    assert taken <= SOON * (8 if short == "word" else 1)


def test_a_stream_is_not_starved_by_short_requests(artifact: Artifact) -> None:
    """While its own client sends requests without an end, more than there are rows at a time, a
    stream moves on.
    """
    turns = language_turns(artifact)
    stream = turns.submit(endless("a"))
    pending: list[int] = []
    for _ in range(200):
        while len(pending) < 3 * ROWS:
            pending.append(turns.submit(Generate(model="m", client="a", prompt="T", max_tokens=9)))
        turns.take()
        pending = [one for one in pending if not any(event.final for event in turns.events[one])]
    assert len(turns.events[stream]) > 100


def all_texts(turns: Turns, tickets: list[int], n: int) -> list[str]:
    """The texts of all choices, once all are complete."""
    for ticket in tickets:
        if not (turns.events[ticket] and turns.events[ticket][-1].final):
            turns.until_answered(ticket)
    return [text_of(turns.events[ticket], index) for ticket in tickets for index in range(n)]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    ("kernel", "precision"), [("native", "int8"), ("native", "float32"), ("torch", "float32")]
)
def test_a_pause_changes_nothing(
    tmp_path: Path, cell: Cell, kernel: Literal["native", "torch"], precision: Precision
) -> None:
    """The same seed gives the same text and the same log-probabilities, to the bit, whether a
    sequence was paused often or never.
    """
    artifact = language_model(tmp_path, "bpe", cell)
    options = dataclasses.replace(OPTIONS, kernel=kernel, precision=precision, slice_steps=2)
    tasks: list[Task] = [
        Generate(
            model="m",
            prompt="The keys to the",
            max_tokens=40,
            n=3,
            stop=("never",),
            logprobs=2,
            echo=echo,
            sampling=Sampling(seed=seed, repetition_penalty=penalty),
        )
        for seed, echo, penalty in ((1, False, 1.0), (2, True, 1.3))
    ]
    tasks += [Score(model="m", texts=("The keys to the cabinet",) * 3)]
    tasks += [NextWord(model="m", prompt="The k", top=10)]
    found = []
    for rows in (32, 2):
        few = dataclasses.replace(options, rows=max(rows, 3), search_rows=3)
        turns = language_turns(artifact, few)
        tickets = [turns.submit(task) for task in tasks]
        for ticket in tickets:
            if not (turns.events[ticket] and turns.events[ticket][-1].final):
                turns.until_answered(ticket)
        found.append([by_choice(turns.events[ticket]) for ticket in tickets])
    assert found[0] == found[1]


def by_choice(events: list[Event]) -> dict[int, list[Event]]:
    """A request's events by choice; which choice ends last may differ."""
    chosen: dict[int, list[Event]] = {}
    for event in events:
        if isinstance(event, Finished):
            event = dataclasses.replace(event, final=False)  # noqa: PLW2901
        chosen.setdefault(getattr(event, "index", 0), []).append(event)
    return chosen


def test_what_is_paused_can_be_cancelled_expire_and_be_abandoned(artifact: Artifact) -> None:
    """Its places are given back and it is counted once, as what runs is; a deadline ends a request
    with what there is, choices that have not begun included.
    """
    load = Load()
    turns = language_turns(artifact, observer=load)
    streams = [turns.submit(endless("a", ROWS)) for _ in range(3)]
    late = turns.submit(dataclasses.replace(endless("a", ROWS), deadline_seconds=0.0))
    turns.take(20)
    (failed,) = turns.events[late]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, DeadlineExceeded)
    assert load.last == (ROWS, 2 * ROWS)
    turns.runner.cancel(streams[0])
    turns.take()
    assert load.last == (ROWS, ROWS)
    request = turns.runner._requests[streams[1]]
    request.deadline_seconds = 0.0
    turns.take()
    ends = finished_of(turns.events[streams[1]])
    assert {end.reason for end in ends.values()} == {"deadline"}
    assert len(ends) == ROWS
    assert sum(event.final for event in turns.events[streams[1]]) == 1
    turns.runner.abandon(DeadlineExceeded())
    assert load.last == (0, 0)
    assert turns.runner.admission.used == 0
    assert load.most_running == ROWS
    assert load.ends == {"deadline": 2 * ROWS, "cancelled": ROWS, "error": ROWS}


def test_a_state_of_a_paused_sequence_goes_on(artifact: Artifact) -> None:
    """A deadline that passes while it is paused gives the state where it stopped."""
    turns = language_turns(artifact)
    task = dataclasses.replace(endless("a"), return_state=True)
    paused = turns.submit(task)
    turns.take(6)
    for number in range(ROWS):
        turns.submit(endless(str(number)))
    request = turns.runner._requests[paused]
    while request.sequences[0].row != -1:
        turns.take()
    request.deadline_seconds = 0.0
    turns.take()
    text = text_of(turns.events[paused])
    state = finished_of(turns.events[paused])[0].state
    rest = turns.submit(Generate(model="m", prompt="", max_tokens=9, sampling=GREEDY, state=state))
    turns.until_answered(rest)
    whole = turns.submit(
        Generate(model="m", prompt="The", max_tokens=len(text) + 9, sampling=GREEDY)
    )
    turns.until_answered(whole)
    assert text + text_of(turns.events[rest]) == text_of(turns.events[whole])


@pytest.mark.parametrize(
    ("kernel", "broken"), [("native", "token"), ("torch", "token"), ("torch", "state")]
)
def test_a_bad_row_fails_alone(
    artifact: Artifact, kernel: Literal["native", "torch"], broken: str
) -> None:
    """Work that cannot be done, or a state that makes logits that are no numbers, fails its own
    request; those that shared its steps go on, to the same bits as without it.
    """
    options = dataclasses.replace(OPTIONS, kernel=kernel, precision="float32")
    found = []
    for spoilt in (False, True):
        turns = language_turns(artifact, options)
        task = Generate(model="m", prompt="The", max_tokens=60, logprobs=2)
        tickets = [
            turns.submit(dataclasses.replace(task, sampling=Sampling(seed=seed)))
            for seed in range(5)
        ]
        turns.take(3)
        if spoilt:
            spoil(turns, turns.runner._requests[tickets[2]].sequences[0], broken)
        turns.take(60)
        found.append([turns.events[ticket] for ticket in tickets])
    (last,) = found[1][2][-1:]
    assert isinstance(last, Failed)
    assert isinstance(last.error, StepFailed)
    assert [found[0][place] for place in (0, 1, 3, 4)] == [
        found[1][place] for place in (0, 1, 3, 4)
    ]


def spoil(turns: Turns, sequence: object, broken: str) -> None:
    """Gives a running choice a token that is not there, or a state of no numbers."""
    assert isinstance(turns.runner, LanguageModelRunner)
    assert isinstance(sequence, Choice)
    if broken == "token":
        sequence._last = 10**6
        return
    kernel = turns.runner._kernel
    state = kernel.save(sequence.row)
    nothing_LBH = torch.full(state.hidden_LBH.shape, torch.nan)
    kernel.restore(sequence.row, State(nothing_LBH, state.cell_LBH))


def test_a_row_that_cannot_be_set_fails_alone(artifact: Artifact) -> None:
    """A state that no row can take fails the request that brought it, before its first step."""
    turns = language_turns(artifact)
    other = turns.submit(endless("a"))
    made = turns.submit(Generate(model="m", prompt="", max_tokens=1, return_state=True))
    turns.until_answered(made)
    state = finished_of(turns.events[made])[0].state
    bad = turns.submit(Generate(model="m", prompt="", max_tokens=1, state=state))
    sequence = turns.runner._requests[bad].sequences[0]
    assert isinstance(sequence, Choice)
    assert sequence._shared.brought is not None
    wrong = State(sequence._shared.brought.state.hidden_LBH[:1])
    sequence._shared.brought = dataclasses.replace(sequence._shared.brought, state=wrong)
    turns.take(2)
    (failed,) = turns.events[bad]
    assert isinstance(failed, Failed)
    before = len(turns.events[other])
    turns.take(2)
    assert len(turns.events[other]) > before


def test_draining_ends_what_is_paused(artifact: Artifact) -> None:
    """What was taken in is answered, also where it has to take turns for the rows."""
    options = dataclasses.replace(OPTIONS, rows=2)
    with desk({"m": artifact}, options) as served:
        task = Generate(model="m", prompt="The", max_tokens=60, n=2, sampling=GREEDY)
        tickets = [
            served.submit(dataclasses.replace(task, client=str(number % 3))) for number in range(6)
        ]
        served.engine.drain()
        assert served.engine.stop(60.0)
        texts = {text_of(served.events[one], index) for one in tickets for index in range(2)}
        assert len(texts) == 1


@pytest.fixture
def texts(tmp_path: Path) -> Turns:
    """A classifier's turns, with small slices."""
    options = EngineOptions(
        threads=1, rows=64, waiting=2000, classifier_batch_tokens=1024, classifier_slice_tokens=64
    )
    return Turns(ClassifierRunner("c", classifier(tmp_path), options, Observer()))


LONG = "the keys to the cabinet are " * 40


@pytest.mark.parametrize("client", ["same", "other"])
@pytest.mark.parametrize("batch", [(LONG,) * 64, ("the keys " * 100,) * 256, ("keys",) * 300])
def test_a_short_text_is_classified_soon(texts: Turns, client: str, batch: tuple[str, ...]) -> None:
    """64 long texts, or 256 variants of one to explain it, are not in its way."""
    greedy = [texts.submit(Classify(model="c", client="same", texts=batch)) for _ in range(4)]
    texts.take(3)
    short = texts.submit(Classify(model="c", client=client, texts=("the keys",)))
    assert texts.until_answered(short, 30) <= 30
    (found,) = texts.events[short]
    assert isinstance(found, TextsClassified)
    for ticket in greedy:
        if not texts.events[ticket]:
            texts.until_answered(ticket, 20_000)


def test_a_text_that_fails_fails_alone(texts: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    """The texts of its batch are worked on without it."""
    assert isinstance(texts.runner, ClassifierRunner)
    kernel = texts.runner._kernel
    classify = kernel.classify
    bad = texts.runner._tokenizer.encode("bowl")[0]

    def broken(documents: Sequence[Sequence[int]]) -> LogitSlices:
        if any(bad in document for document in documents):
            raise MemoryError("no room for a bowl")
        return (yield from classify(documents))

    monkeypatch.setattr(kernel, "classify", broken)
    words = ["keys", "the bowl", "cabinet", "dogs table", "the the"]
    tickets = [texts.submit(Classify(model="c", texts=(word,))) for word in words]
    texts.take(20)
    failed = [isinstance(texts.events[ticket][-1], Failed) for ticket in tickets]
    assert failed == [False, True, False, False, False]
