"""Generation through the engine against the naive loop, alone and with concurrent requests."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from model.architecture import CELLS, Cell
from model.artifact import Artifact
from model.networks import LanguageModel
from service.engine.api.errors import InvalidTask
from service.engine.api.tasks import Echo, Finished, Generate, Token
from service.engine.runners.engine import EngineOptions
from service.kernel.api.interface import Sampling
from tests.support.service.engine_client import (
    EngineClient,
    finished_of,
    language_model,
    serving,
    text_of,
    token_count,
)
from tests.support.service.reference import NaiveReader, naive_generate

MAX_TOKENS = 40
SAMPLINGS = [
    Sampling(temperature=0.0),
    Sampling(seed=2**63 + 5),
    Sampling(temperature=0.8, top_k=8, top_p=0.9, min_p=0.01, repetition_penalty=1.2, seed=3),
]


@pytest.fixture(scope="module", params=[(cell, layers) for cell in CELLS for layers in (1, 2, 3)])
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model of each cell and depth."""
    cell, layers = request.param
    return language_model(tmp_path_factory.mktemp("models"), "char", cell, layers)


@pytest.fixture(scope="module")
def lstm(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """One character model for what does not depend on the cell."""
    return language_model(tmp_path_factory.mktemp("models"))


def naive_text(artifact: Artifact, prompt: str, sampling: Sampling) -> tuple[str, str]:
    """The naive loop's text and the reason it ended."""
    assert isinstance(artifact.network, LanguageModel)
    tokenizer = artifact.tokenizer
    generated = naive_generate(
        artifact.network,
        tokenizer.encode(prompt),
        MAX_TOKENS,
        sampling,
        end=tokenizer.end,
        suppressed=sorted(tokenizer.suppressed),
    )
    return tokenizer.decode(generated), "end" if generated[-1] == tokenizer.end else "length"


class ConcurrentRequests:
    """Requests that start, end and are cancelled during a test."""

    def __init__(self, served: EngineClient, model: str, size: int) -> None:
        self._served = served
        self._model = model
        self._size = size
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.submitted = 0

    def __enter__(self) -> ConcurrentRequests:
        self._thread.start()
        self._served.wait_until(lambda: len(self._served.events) > 5)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        chance = random.Random(0)
        live: list[int] = []
        while not self._stop.is_set():
            while len(live) < self._size:
                live.append(self._served.submit(self._task(chance)))
                self.submitted += 1
            self._stop.wait(0.003)
            for ticket in chance.sample(live, 3):
                self._served.engine.cancel(ticket)
                live.remove(ticket)
            live = [ticket for ticket in live if not self._is_over(ticket)]

    def _is_over(self, ticket: int) -> bool:
        events = self._served.events[ticket]
        return bool(events) and events[-1].final

    def _task(self, chance: random.Random) -> Generate:
        prompt = "".join(chance.choices("The keys to the cabinet", k=chance.randrange(12)))
        sampling = Sampling(
            seed=chance.randrange(2**64), temperature=chance.choice([0.0, 1.0, 2.0])
        )
        return Generate(
            model=self._model,
            prompt=prompt,
            max_tokens=chance.randrange(1, 60),
            sampling=sampling,
            logprobs=chance.choice([None, 2]),
        )


def test_generation_is_the_naive_loop(artifact: Artifact) -> None:
    """Greedy, seeded and with every option: the same text alone and among 63 other requests."""
    prompts = ["The keys to the", ""]
    asked = [(prompt, sampling) for prompt in prompts for sampling in SAMPLINGS]
    expected = [naive_text(artifact, prompt, sampling) for prompt, sampling in asked]
    with serving({"m": artifact}) as served:
        tasks = [
            Generate(model="m", prompt=prompt, max_tokens=MAX_TOKENS, sampling=sampling)
            for prompt, sampling in asked
        ]
        alone = [served.ask(task) for task in tasks]
        with ConcurrentRequests(served, "m", 63) as crowd:
            crowded = [served.ask(task) for task in tasks]
    assert crowd.submitted > 63
    for events in (alone, crowded):
        generated = [
            (text_of(ticket_events), finished_of(ticket_events)[0].reason)
            for ticket_events in events
        ]
        assert generated == expected


@pytest.mark.parametrize("steps", [2, 7])
def test_bursts_change_nothing(lstm: Artifact, steps: int) -> None:
    """With several steps per turn the events are the same."""
    task = Generate(
        model="m", prompt="The k", max_tokens=30, n=3, stop=("zzz", "e"), logprobs=1, echo=True
    )
    with serving({"m": lstm}) as served:
        single = served.ask(task)
    with serving({"m": lstm}, EngineOptions(threads=1, burst_steps=steps)) as served:
        burst = served.ask(task)

    def by_choice(events: list[object]) -> list[list[object]]:
        chosen = [[event for event in events if _index(event) == index] for index in range(3)]
        return [
            [_index(event) if isinstance(event, Finished) else event for event in ticket_events]
            for ticket_events in chosen
        ]

    assert by_choice(list(burst)) == by_choice(list(single))


def _index(event: object) -> int:
    assert isinstance(event, Echo | Token | Finished)
    return event.index


def test_choices_are_those_of_their_index(lstm: Artifact) -> None:
    """The n choices equal those of n requests with that choice index, and all differ."""
    task = Generate(model="m", prompt="The", max_tokens=MAX_TOKENS, n=4, sampling=Sampling(seed=9))
    with serving({"m": lstm}) as served:
        events = served.ask(task)
    texts = [text_of(events, index) for index in range(4)]
    assert texts == [naive_text(lstm, "The", Sampling(seed=9, choice_index=i))[0] for i in range(4)]
    assert len(set(texts)) == 4
    finished = [event for event in events if isinstance(event, Finished)]
    assert [event.final for event in finished] == [False, False, False, True]
    assert {event.prompt_tokens for event in finished} == {3}


@pytest.mark.parametrize("stop", [(), ("zzz", "e")])
def test_the_probability_of_the_end_is_reported(lstm: Artifact, stop: tuple[str, ...]) -> None:
    """Each generated token has that of [END] in its place; the text is the same as without."""
    assert isinstance(lstm.network, LanguageModel)
    task = Generate(model="m", prompt="The keys", max_tokens=12, logprobs=0, n=2, stop=stop)
    with serving({"m": lstm}) as served:
        plain = served.ask(task)
        events = served.ask(dataclasses.replace(task, end=True))
        with pytest.raises(InvalidTask, match="end: needs logprobs"):
            served.submit(dataclasses.replace(task, end=True, logprobs=None))
    for index in (0, 1):
        assert text_of(events, index) == text_of(plain, index)
        tokens = [e.token for e in events if isinstance(e, Token) and e.index == index]
        assert tokens
        reader, end = NaiveReader(lstm.network), lstm.tokenizer.end
        for token_id in [end, *lstm.tokenizer.encode("The keys")]:
            logits_V = reader.read(token_id)
        for token in tokens:
            assert token is not None
            exact = float(torch.log_softmax(logits_V.double(), dim=0)[end])
            assert token.end == pytest.approx(exact, abs=2e-5)
            logits_V = reader.read(*lstm.tokenizer.encode(token.text))


def test_logprobs_and_echo_are_the_models_own(lstm: Artifact) -> None:
    """Each token of prompt and continuation has its exact log-probability and alternatives."""
    task = Generate(
        model="m", prompt="The keys", max_tokens=5, sampling=Sampling(seed=1), logprobs=3, echo=True
    )
    with serving({"m": lstm}) as served:
        events = served.ask(task)
    echo = events[0]
    assert isinstance(echo, Echo)
    assert (echo.text, "".join(token.text for token in echo.tokens)) == ("The keys", "The keys")
    tokens = [*echo.tokens, *(event.token for event in events if isinstance(event, Token))]
    assert isinstance(lstm.network, LanguageModel)
    reader = NaiveReader(lstm.network)
    token_id = lstm.tokenizer.end
    for token in tokens:
        assert token is not None
        exact_V = torch.log_softmax(reader.read(token_id).double(), dim=0)
        (token_id,) = lstm.tokenizer.encode(token.text)
        assert token.logprob == pytest.approx(float(exact_V[token_id]), abs=2e-5)
        best = exact_V.topk(3)
        texts = [lstm.tokenizer.text_of(int(place)) for place in best.indices]
        assert [text for text, _ in token.top] == texts
    assert text_of(events) == "".join(token.text for token in tokens[8:] if token)


def test_echo_without_drawing(lstm: Artifact) -> None:
    """max_tokens 0 with echo scores the prompt and ends with reason "length"."""
    task = Generate(model="m", prompt="The", max_tokens=0, echo=True, logprobs=0)
    with serving({"m": lstm}) as served:
        echo, finished = served.ask(task)
    assert isinstance(echo, Echo)
    assert [token.text for token in echo.tokens] == ["T", "h", "e"]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.completion_tokens, finished.prompt_tokens) == ("length", 0, 3)


def test_token_ids_are_taken_as_a_prompt(lstm: Artifact) -> None:
    """Token ids give the same result as their text."""
    ids = tuple(lstm.tokenizer.encode("The keys"))
    with serving({"m": lstm}) as served:
        texts = [
            served.text(Generate(model="m", prompt=prompt, max_tokens=20, echo=True))
            for prompt in ("The keys", ids)
        ]
    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_stop_strings_cut_the_text_exactly(tmp_path: Path, kind: str) -> None:
    """Stop strings across token borders: the text ends before them, and no part was ever shown."""
    artifact = language_model(tmp_path, kind)
    task = Generate(
        model="m", prompt="The", max_tokens=60, sampling=Sampling(temperature=1.5, seed=4)
    )
    with serving({"m": artifact}) as served:
        whole = served.text(task)
        for begin in range(3, len(whole) - 5, 5):
            stop = (whole[begin : begin + 5], "no such text")
            cut = whole.index(stop[0])
            events = served.ask(
                Generate(model="m", prompt="The", max_tokens=60, sampling=task.sampling, stop=stop)
            )
            assert text_of(events) == whole[:cut]
            assert finished_of(events)[0].reason == "stop"
            assert finished_of(events)[0].completion_tokens <= 60


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
@pytest.mark.parametrize("seed", range(4))
def test_tokens_come_with_their_text(tmp_path: Path, kind: str, seed: int) -> None:
    """With logprobs, each event has one token and the shown part of its text, which is all of it
    except for a last token in which a stop string begins. No text comes without its token,
    including text withheld for a stop string that did not come.
    """
    artifact = language_model(tmp_path, kind)
    sampling = Sampling(temperature=2.0, seed=seed)
    task = Generate(model="m", prompt="The", max_tokens=30, sampling=sampling, logprobs=1)
    with serving({"m": artifact}) as served:
        plain = served.ask(task)
        whole = text_of(plain)
        assert [event.text for event in plain if isinstance(event, Token)][:3] != ["", "", ""]
        stops = [(whole[place : place + 3],) for place in range(0, len(whole) - 3, 2)]
        for stop in [*stops, (whole[-2:] + "never", whole[-5:] + "never")]:
            events = served.ask(dataclasses.replace(task, stop=stop))
            finished = finished_of(events)[0]
            tokens = [event for event in events if isinstance(event, Token)]
            assert finished.text == ""
            assert text_of(events) == (whole[: whole.index(stop[0])] if stop[0] in whole else whole)
            assert [event.token for event in tokens] == [
                event.token for event in plain[: len(tokens)] if isinstance(event, Token)
            ]
            for event, unbroken in zip(tokens, plain, strict=False):
                assert isinstance(unbroken, Token)
                assert unbroken.text.startswith(event.text)
                assert event.text == unbroken.text or event is tokens[-1]


def test_bpe_text_is_whole_characters(tmp_path: Path) -> None:
    """Incomplete characters are withheld; the shown text joins to the generated text."""
    artifact = language_model(tmp_path, "bpe", seed=5)
    sampling = Sampling(temperature=3.0, seed=8)
    with serving({"m": artifact}) as served:
        text = served.text(Generate(model="m", prompt="", max_tokens=MAX_TOKENS, sampling=sampling))
    assert text == naive_text(artifact, "", sampling)[0]
    assert any(ord(character) > 127 for character in text)


def test_an_end_is_an_end(lstm: Artifact) -> None:
    """[END] is not shown, not counted, and is the reason."""
    with serving({"m": lstm}) as served:
        tasks = [
            Generate(model="m", prompt="", max_tokens=2000, sampling=Sampling(seed=seed))
            for seed in range(5)
        ]
        for task in tasks:
            events = served.ask(task)
            finished = finished_of(events)[0]
            assert finished.reason == "end"
            assert token_count(events) == finished.completion_tokens
            assert "[END]" not in text_of(events)


@pytest.fixture(params=["lstm", "gru", "elman"])
def small_room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EngineClient]:
    """An engine with two rows."""
    cell: Cell = request.param
    model = language_model(tmp_path, "char", cell, 2)
    with serving({"m": model}, EngineOptions(threads=1, rows=2)) as served:
        yield served


def test_rows_used_again_leak_nothing(small_room: EngineClient) -> None:
    """The same request gives the same text in rows that other requests used or were cancelled
    in.
    """
    task = Generate(model="m", prompt="The", max_tokens=15, sampling=Sampling(seed=1))
    first = small_room.text(task)
    for seed in range(6):
        long = Generate(
            model="m", prompt="x" * seed, max_tokens=500, sampling=Sampling(temperature=0.0)
        )
        left = small_room.submit(long)
        mine = small_room.submit(task)
        small_room.engine.cancel(left)
        assert text_of(small_room.wait(mine)) == first
