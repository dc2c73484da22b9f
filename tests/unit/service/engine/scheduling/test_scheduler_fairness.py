"""Fairness between clients and requests: rows, paused sequences, batches of texts."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from model.architecture import CELLS, Cell
from model.artifact import Artifact
from service.engine.api.errors import DeadlineExceeded
from service.engine.api.observer import EndReason, Observer
from service.engine.api.tasks import (
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
from service.kernel.api.interface import GREEDY, Sampling
from service.kernel.api.packing import KernelPrecision
from tests.support.service.engine_client import (
    finished_of,
    language_model,
    serving,
    text_of,
    token_count,
)
from tests.support.service.turns import (
    OPTIONS,
    ROWS,
    Turns,
    classifier_turns,
    endless,
    language_turns,
)

SOON = 12  # turns


class Load(Observer):
    """Records the last load and the reasons of ended sequences."""

    def __init__(self) -> None:
        self.last = (0, 0)
        self.ends: Counter[EndReason] = Counter()
        self.most_running = 0

    def load(self, model: str, running: int, waiting: int) -> None:  # noqa: ARG002
        self.last = running, waiting
        self.most_running = max(self.most_running, running)

    def finished(self, model: str, reason: EndReason) -> None:  # noqa: ARG002
        self.ends[reason] += 1


class Generated(Observer):
    """Counts generated tokens."""

    def __init__(self) -> None:
        self.generated = 0

    def tokens(self, model: str, prompt: int, generated: int) -> None:  # noqa: ARG002
        self.generated += generated


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model whose greedy text does not end."""
    return language_model(tmp_path_factory.mktemp("models"))


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
    """After 20 long requests of one client, a short request of any client is answered within a
    few turns; a search takes one more turn per round.
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
    """A stream progresses while its own client keeps sending more requests than there are rows."""
    turns = language_turns(artifact)
    stream = turns.submit(endless("a"))
    pending: list[int] = []
    for _ in range(200):
        while len(pending) < 3 * ROWS:
            pending.append(turns.submit(Generate(model="m", client="a", prompt="T", max_tokens=9)))
        turns.take()
        pending = [
            ticket for ticket in pending if not any(event.final for event in turns.events[ticket])
        ]
    assert token_count(turns.events[stream]) > 100


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
    tmp_path: Path, cell: Cell, kernel: Literal["native", "torch"], precision: KernelPrecision
) -> None:
    """The same seed gives the same text and log-probabilities, to the bit, with and without
    pauses.
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
    outputs = []
    for rows in (32, 2):
        few = dataclasses.replace(options, rows=max(rows, 3), search_rows=3)
        turns = language_turns(artifact, few)
        tickets = [turns.submit(task) for task in tasks]
        for ticket in tickets:
            if not (turns.events[ticket] and turns.events[ticket][-1].final):
                turns.until_answered(ticket)
        outputs.append([by_choice(turns.events[ticket]) for ticket in tickets])
    assert outputs[0] == outputs[1]


def by_choice(events: list[Event]) -> dict[int, list[Event]]:
    """A request's events by choice; which choice ends last may differ."""
    chosen: dict[int, list[Event]] = {}
    for event in events:
        if isinstance(event, Finished):
            event = dataclasses.replace(event, final=False)  # noqa: PLW2901
        chosen.setdefault(getattr(event, "index", 0), []).append(event)
    return chosen


def test_a_paused_sequence_can_be_cancelled_expire_and_be_abandoned(artifact: Artifact) -> None:
    """A paused sequence frees its places and is counted once, like a running one. A deadline
    ends a request with the text so far, including choices that have not started.
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
    """A deadline during a pause returns the state at which the sequence was paused."""
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


def test_draining_ends_what_is_paused(artifact: Artifact) -> None:
    """Accepted requests complete, also if they take turns on the rows."""
    options = dataclasses.replace(OPTIONS, rows=2)
    with serving({"m": artifact}, options) as served:
        task = Generate(model="m", prompt="The", max_tokens=60, n=2, sampling=GREEDY)
        tickets = [
            served.submit(dataclasses.replace(task, client=str(number % 3))) for number in range(6)
        ]
        served.engine.drain()
        assert served.engine.stop(60.0)
        texts = {text_of(served.events[ticket], index) for ticket in tickets for index in range(2)}
        assert len(texts) == 1


LONG = "the keys to the cabinet are " * 40


@pytest.mark.parametrize("client", ["same", "other"])
@pytest.mark.parametrize("batch", [(LONG,) * 64, ("the keys " * 100,) * 256, ("keys",) * 300])
def test_a_short_text_is_classified_soon(
    tmp_path: Path, client: str, batch: tuple[str, ...]
) -> None:
    """64 long texts, or 256 variants of one, do not delay it."""
    texts = classifier_turns(tmp_path)
    greedy = [texts.submit(Classify(model="c", client="same", texts=batch)) for _ in range(4)]
    texts.take(3)
    short = texts.submit(Classify(model="c", client=client, texts=("the keys",)))
    assert texts.until_answered(short, 30) <= 30
    (event,) = texts.events[short]
    assert isinstance(event, TextsClassified)
    for ticket in greedy:
        if not texts.events[ticket]:
            texts.until_answered(ticket, 20_000)


@pytest.mark.parametrize("client", ["flood", "other"])
def test_short_tasks_take_as_long_as_a_first_token(tmp_path: Path, client: str) -> None:
    """Beside many streams of the same client or of another one, the score of a text and a search
    for the next word take a few times as many turns as the first token after that text.
    """
    text = "The keys to the cabinet are on the table, " * 3
    turns = language_turns(language_model(tmp_path, "char"))
    for _ in range(5 * ROWS):
        turns.submit(endless("flood"))
    turns.take(50)

    def waiting(task: Task) -> int:
        return turns.until_answered(turns.submit(task))

    token = waiting(Generate(model="m", client=client, prompt=text, max_tokens=1))
    score = waiting(Score(model="m", client=client, texts=(text,)))
    word = waiting(NextWord(model="m", client=client, prompt=text, top=5))
    assert score <= 3 * token
    assert word <= 8 * token


def test_long_texts_are_scored_beside_a_flood_of_streams(tmp_path: Path) -> None:
    """Eight long texts of a client that has 200 streams are read in half of its rows, whatever the
    number of streams; the streams keep the other half.
    """
    text = ("The keys to the cabinet are on the table, " * 20)[:820]
    counts = Generated()
    turns = language_turns(language_model(tmp_path, "char"), observer=counts)
    for _ in range(25 * ROWS):
        turns.submit(endless("flood"))
    turns.take(50)
    before = counts.generated
    turns.until_answered(turns.submit(Score(model="m", client="flood", texts=(text,) * 8)))
    work = 8 * len(text)
    assert work / 4 < counts.generated - before < 2 * work
