"""Draining: a text that is cut anywhere is continued elsewhere as if it had not been cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.artifact import Artifact, load_artifact, save_artifact
from model.networks import LanguageModel
from service.engine.api.errors import Draining
from service.engine.api.observer import Observer
from service.engine.api.tasks import (
    Echo,
    Event,
    Failed,
    Finished,
    Generate,
    NextWord,
    Score,
    Token,
    TokenLogprob,
)
from service.engine.runners.language_model import LanguageModelRunner
from service.engine.scheduling.runner import TicketEvents
from service.kernel.api.interface import Sampling
from tests.support.service.continuing import OPTIONS, SAMPLINGS, ask
from tests.support.service.engine_client import language_model, text_of

TOKENS = 60
KINDS = ["word", "char", "bpe"]


def runner_of(artifact: Artifact) -> LanguageModelRunner:
    """A runner that the test steps itself."""
    return LanguageModelRunner("m", artifact, OPTIONS, Observer())


def submit(runner: LanguageModelRunner, *tasks: Generate | Score | NextWord) -> None:
    """Submit tasks; their tickets are numbers from 0."""
    for ticket, task in enumerate(tasks):
        request = runner.prepare(task)
        request.ticket = ticket
        runner.admission.take(request.size)
        runner.accept(request)


def run(runner: LanguageModelRunner, turns: int | None = None) -> TicketEvents:
    """The events of so many turns; of all turns by default."""
    events: TicketEvents = []
    while runner.busy and turns != 0:
        events += runner.step()
        turns = None if turns is None else turns - 1
    return events


def answer(artifact: Artifact, task: Generate) -> list[Event]:
    """The events of a task that nothing cuts."""
    runner = runner_of(artifact)
    submit(runner, task)
    return [event for _, event in run(runner)]


def answer_in_pieces(artifact: Artifact, task: Generate, cuts: Sequence[int]) -> list[Event]:
    """The events of a task that is drained after so many turns and continued on a new runner, as a
    client does it.
    """
    shown: list[Event] = []
    left = task
    for turns in (*cuts, None):
        runner = runner_of(artifact)
        submit(runner, left)
        events = [event for _, event in run(runner, turns)]
        if not (events and events[-1].final):
            events += [event for _, event in runner.drain()]
        assert not runner.busy
        assert runner.admission.used == 0
        end = events[-1]
        if isinstance(end, Failed):
            assert isinstance(end.error, Draining)
            assert events == [end], "nothing was sent, so the same task is sent again"
            continue
        assert isinstance(end, Finished)
        if end.reason != "drained":
            return [*shown, *events]
        assert end.text == ""
        shown += events[:-1]
        left = dataclasses.replace(
            left,
            prompt="",
            echo=False,
            state=end.state,
            seed_is_given=False,
            max_tokens=left.max_tokens - end.completion_tokens,
            sampling=dataclasses.replace(left.sampling, seed=0),
        )
    raise AssertionError("the last piece was not the end")


def reports(events: Sequence[Event]) -> list[TokenLogprob]:
    """The reported tokens, in order."""
    return [e.token for e in events if isinstance(e, Token) and e.token is not None]


def check_equal(whole: Sequence[Event], pieces: Sequence[Event]) -> None:
    """The same text, end, tokens and log-probabilities."""
    assert text_of(list(pieces)) == text_of(list(whole))
    ends = whole[-1], pieces[-1]
    assert isinstance(ends[0], Finished)
    assert isinstance(ends[1], Finished)
    assert ends[1].reason == ends[0].reason
    expected, got = reports(whole), reports(pieces)
    assert [token.text for token in got] == [token.text for token in expected]
    for one, other in zip(expected, got, strict=True):
        assert other.logprob == pytest.approx(one.logprob, abs=2e-3)
        assert [text for text, _ in other.top] == [text for text, _ in one.top]


def endless(directory: Path, kind: str) -> Artifact:
    """A model whose texts do not end by themselves."""
    artifact = language_model(directory, kind)
    assert isinstance(artifact.network, LanguageModel)
    with torch.no_grad():
        artifact.network.output.bias[artifact.tokenizer.end] = -100.0
    save_artifact(
        directory / "endless",
        network=artifact.network,
        tokenizer=artifact.tokenizer,
        name=artifact.manifest.name,
        provenance={},
        metrics={},
    )
    return load_artifact(directory / "endless")


@pytest.fixture(scope="module", params=KINDS)
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A model of each tokenizer; tokens of the bpe model are often parts of characters."""
    return endless(tmp_path_factory.mktemp("models"), request.param)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    seed=st.integers(0, 2**53),
    sampling=st.sampled_from(list(SAMPLINGS.values())),
    logprobs=st.sampled_from([None, 0, 2]),
    stops=st.lists(st.tuples(st.integers(0, 200), st.integers(1, 12)), max_size=3),
    near_misses=st.booleans(),
    return_state=st.booleans(),
    echo=st.booleans(),
)
def test_a_text_cut_anywhere_goes_on_as_if_it_was_not(
    artifact: Artifact,
    *,
    cuts: list[int],
    seed: int,
    sampling: Sampling,
    logprobs: int | None,
    stops: list[tuple[int, int]],
    near_misses: bool,
    return_state: bool,
    echo: bool,
) -> None:
    """For any cuts, also within a stop string or a character, the pieces join to the uncut text
    with its tokens and its end, with the random numbers of the first piece.
    """
    sampling = dataclasses.replace(sampling, seed=seed)
    plain = ask("The keys", TOKENS, sampling=sampling)
    text = text_of(answer(artifact, plain))
    # Stop strings that occur, or of which all but the last character does.
    chosen = {text[begin : begin + length] for begin, length in stops}
    chosen = {f"{stop}\0" if near_misses else stop for stop in chosen if stop}
    task = dataclasses.replace(
        plain, stop=tuple(chosen), logprobs=logprobs, return_state=return_state, echo=echo
    )
    check_equal(answer(artifact, task), answer_in_pieces(artifact, task, cuts))


@pytest.mark.parametrize("logprobs", [None, 1])
def test_withheld_text_of_any_length_is_kept(artifact: Artifact, logprobs: int | None) -> None:
    """A long stop string that never completes withholds much text; cut after each turn, nothing of
    it is lost, sent twice or sent early.
    """
    plain = ask("The", 100, sampling=SAMPLINGS["sampled"], logprobs=logprobs)
    text = text_of(answer(artifact, plain))
    task = dataclasses.replace(plain, stop=(text[5:95] + "\0",))
    whole = answer(artifact, task)
    assert text_of(whole) == text
    check_equal(whole, answer_in_pieces(artifact, task, [3] * 30))
    for turns in range(2, 12):
        check_equal(whole, answer_in_pieces(artifact, task, [turns]))


def test_a_stop_string_across_the_cut_leaves_a_state_at_the_end_of_the_text(
    artifact: Artifact,
) -> None:
    """The state returned by the last piece continues with the text that the stop string cut off,
    or with a new prompt, as after an uncut text.
    """
    plain = ask("The", 40, sampling=SAMPLINGS["greedy"])
    text = text_of(answer(artifact, plain))
    for begin in range(4, 28, 5):
        stop = text[begin : begin + 9]
        task = dataclasses.replace(plain, stop=(stop,), return_state=True)
        for turns in range(1, 8):
            ends = [
                answer(artifact, task)[-1],
                answer_in_pieces(artifact, task, [turns])[-1],
            ]
            texts = []
            for prompt in ("", " the"):
                for end in ends:
                    assert isinstance(end, Finished)
                    assert end.reason == "stop"
                    texts.append(text_of(answer(artifact, ask(prompt, 8, state=end.state, n=1))))
            assert texts[0] == texts[1]
            assert texts[2] == texts[3]


def test_every_choice_has_its_own_state_and_random_numbers(artifact: Artifact) -> None:
    """Of several choices, each is continued by a request of its own, as choice 0 of that request
    and with the random numbers of its first part.
    """
    task = ask("The keys", TOKENS, sampling=Sampling(seed=9), n=3, logprobs=0)
    whole = answer(artifact, task)
    runner = runner_of(artifact)
    submit(runner, task)
    first = [event for _, event in run(runner, 4)] + [event for _, event in runner.drain()]
    ends = [event for event in first if isinstance(event, Finished)]
    assert [end.reason for end in ends] == ["drained"] * 3
    assert [end.final for end in ends] == [False, False, True]
    for end in ends:
        left = dataclasses.replace(
            task,
            prompt="",
            n=1,
            state=end.state,
            seed_is_given=False,
            max_tokens=TOKENS - end.completion_tokens,
        )
        rest = answer(artifact, left)
        assert {event.index for event in rest if isinstance(event, Token | Finished)} == {0}
        assert text_of(first, end.index) + text_of(rest) == text_of(whole, end.index)


def test_what_has_not_begun_fails_as_draining(artifact: Artifact) -> None:
    """Requests without a sent token, scores and searches get an error, so that their client sends
    them again elsewhere.
    """
    long = "The keys to the cabinet " * 200
    runner = runner_of(artifact)
    submit(
        runner,
        ask(long, 5),
        ask(long, 5, n=2, echo=True),
        Score(model="m", texts=(long,)),
        NextWord(model="m", prompt=long),
    )
    run(runner, 2)
    drained = runner.drain()
    assert [ticket for ticket, _ in drained] == [0, 1, 2, 3]
    for _, event in drained:
        assert isinstance(event, Failed)
        assert isinstance(event.error, Draining)


def test_a_choice_that_waits_has_no_state(tmp_path: Path) -> None:
    """If only some choices of a request have begun, the others end without a state and a text."""
    options = dataclasses.replace(OPTIONS, rows=2)
    artifact = endless(tmp_path, "char")
    runner = LanguageModelRunner("m", artifact, options, Observer())
    submit(runner, ask("The keys", TOKENS), ask("The keys", TOKENS, n=2))
    events = run(runner, 3) + runner.drain()
    first = [event for ticket, event in events if ticket == 1]
    ends = [event for event in first if isinstance(event, Finished)]
    assert [end.state is None for end in ends] == [False, True]
    assert not any(isinstance(event, Echo) for event in first)
    assert text_of(first, 1) == ""


def test_a_prompt_after_a_drained_text_follows_the_shown_text(artifact: Artifact) -> None:
    """A new prompt replaces the withheld text: the answer equals that to prompt, shown text and new
    prompt in one.
    """
    greedy = SAMPLINGS["greedy"]
    plain = ask("The", 60, sampling=greedy)
    text = text_of(answer(artifact, plain))
    task = dataclasses.replace(plain, stop=(text[3:60] + "\0",))
    runner = runner_of(artifact)
    submit(runner, task)
    first = [event for _, event in run(runner, 3)] + [event for _, event in runner.drain()]
    end = first[-1]
    assert isinstance(end, Finished)
    shown = text_of(first)
    assert shown == text[: len(shown)]
    assert len(shown) < len(text)
    fresh = text_of(answer(artifact, ask("The" + shown + " dog", 12, sampling=greedy)))
    assert text_of(answer(artifact, ask(" dog", 12, sampling=greedy, state=end.state))) == fresh
