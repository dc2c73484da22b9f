"""State tokens: a text in two requests against the same text in one."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.architecture import CELLS, Cell
from model.artifact import Artifact
from service.engine.api.errors import ForeignState, InvalidState, InvalidTask
from service.engine.api.tasks import Echo
from service.engine.runners.language_model import LanguageModelRunner
from service.engine.states import state_token
from service.kernel.api.interface import RowResult, RowWork, Sampling
from tests.support.service.continuing import OPTIONS, PROMPT, SAMPLINGS, ask, last, seeded
from tests.support.service.engine_client import (
    EngineClient,
    finished_of,
    language_model,
    serving,
    text_of,
)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_two_halves_are_the_whole(
    tmp_path: Path, cell: Cell, kind: str, sampling: Sampling
) -> None:
    """A text that is resumed on another engine with the same key equals the uninterrupted text."""
    artifact = language_model(tmp_path, kind, cell)
    with (
        serving({"m": artifact}, OPTIONS) as client,
        serving({"m": artifact}, OPTIONS) as other,
    ):
        whole, _ = last(client, ask(max_tokens=30, sampling=sampling))
        first, ended = last(client, ask(max_tokens=11, sampling=sampling, return_state=True))
        assert ended.state is not None
        if ended.reason == "end":
            assert first == whole
            return
        rest = ask(
            "",
            max_tokens=19,
            sampling=dataclasses.replace(sampling, seed=1),
            state=ended.state,
            seed_is_given=False,
        )
        second, finished = last(other, rest)
        assert first + second == whole
        assert finished.seed == sampling.seed


def test_a_prompt_after_a_state_is_read_as_the_continuation(served: EngineClient) -> None:
    """State, answer and next words give the result of the whole conversation in one prompt."""
    greedy = SAMPLINGS["greedy"]
    answer, ended = last(served, ask(max_tokens=9, sampling=greedy, return_state=True))
    assert ended.reason == "length"
    resumed = ask(" the", sampling=greedy, state=ended.state, n=2)
    whole, _ = last(served, ask(PROMPT + answer + " the", sampling=greedy))
    events = served.ask(resumed)
    assert [text_of(events, index) for index in range(2)] == [whole, whole]


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("echo", [False, True])
def test_a_text_goes_on_where_a_stop_string_has_cut_it(
    tmp_path: Path, kind: str, sampling: Sampling, *, echo: bool
) -> None:
    """For any position of the stop string, within or across tokens, shown text and continuation
    join to the uninterrupted text; with another seed or temperature, up to the cut. The same
    stop string does not end the text again at once.
    """
    artifact = language_model(tmp_path, kind)
    uncached = dataclasses.replace(OPTIONS, state_cache_bytes=0)  # reads the prompt in two calls
    with serving({"m": artifact}, uncached) as served:
        whole, _ = last(served, ask(max_tokens=40, sampling=sampling))
        for begin in range(0, min(len(whole) - 4, 40), 3):
            stop = whole[begin : begin + 1 + begin % 4]
            task = ask(max_tokens=40, sampling=sampling, stop=(stop,), return_state=True)
            part, ended = last(served, dataclasses.replace(task, echo=echo))
            assert ended.reason == "stop"
            assert part == whole[: whole.index(stop)]
            left = 40 - ended.completion_tokens
            rest = ask("", left, state=ended.state, seed_is_given=False, sampling=sampling)
            if left:
                assert part + last(served, rest)[0] == whole
            other = ask("", 1, state=ended.state, stop=(stop,), sampling=Sampling(seed=99))
            assert last(served, other)[0].startswith(stop)


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_a_prompt_after_a_stop_string_follows_the_shown_text(tmp_path: Path, kind: str) -> None:
    """The cut text is dropped: the answer equals that to prompt, shown text and new prompt in
    one, also if the new prompt completes the cut word. The echo is the new prompt.
    """
    artifact = language_model(tmp_path, kind)
    greedy = SAMPLINGS["greedy"]
    with serving({"m": artifact}, OPTIONS) as served:
        whole, _ = last(served, ask("The", max_tokens=30, sampling=greedy))
        compared = 0
        for begin in range(1, 20, 2):
            stop = whole[begin : begin + 3]
            task = ask("The", max_tokens=30, sampling=greedy, stop=(stop,), return_state=True)
            part, ended = last(served, task)
            for prompt in (" the keys", "s are", stop):
                fresh = ask("The" + part + prompt, 12, sampling=greedy)
                again = ask(prompt, 12, sampling=greedy, state=ended.state, echo=True, logprobs=0)
                events = served.ask(again)
                echo = events[0]
                assert isinstance(echo, Echo)
                assert echo.text == prompt == "".join(token.text for token in echo.tokens)
                if kind == "bpe" and not same_tokens(artifact, "The", part, prompt):
                    continue
                compared += 1
                assert text_of(events) == last(served, fresh)[0]
        assert compared > 5


def same_tokens(artifact: Artifact, begin: str, part: str, prompt: str) -> bool:
    """Whether the parts of a text have the same tokens as the whole."""
    encode = artifact.tokenizer.encode
    return encode(begin + part + prompt) == [*encode(begin), *encode(part + prompt)]


@contextmanager
def standing_still(served: EngineClient) -> Iterator[None]:
    """No row reads within this context."""
    runner = served.engine._runners["m"]
    assert isinstance(runner, LanguageModelRunner)
    run = runner._kernel.run

    def nothing(
        work: Sequence[RowWork], steps: int, *, cut_at_end: bool, seconds: float
    ) -> list[RowResult]:
        return [RowResult() for _ in work]

    runner._kernel.run = nothing  # type: ignore[method-assign, assignment]
    yield
    runner._kernel.run = run  # type: ignore[method-assign]


def test_a_deadline_before_the_prompt_is_read_gives_back_where_it_began(
    served: EngineClient,
) -> None:
    """The returned state with the same prompt gives the whole answer, with and without a first
    state.
    """
    whole, begun = last(served, ask("The", max_tokens=5, return_state=True))
    expected, _ = last(served, ask(" keys", max_tokens=9, state=begun.state))
    for state, prompt, text in ((None, "The", whole), (begun.state, " keys", expected)):
        late = ask(prompt, state=state, return_state=True, deadline_seconds=0.3)
        with standing_still(served):
            ended = finished_of(served.ask(late))[0]
        assert (ended.reason, ended.completion_tokens) == ("deadline", 0)
        again = ask(prompt, max_tokens=len(text), state=ended.state, seed_is_given=False)
        assert last(served, again)[0] == text


@pytest.mark.parametrize("reason", ["end", "deadline"])
def test_a_text_goes_on_after_any_end(served: EngineClient, reason: str) -> None:
    """After [END] a new text begins; after a deadline the same text continues."""
    if reason == "end":
        ended = next(
            finished
            for seed in range(50)
            if (
                finished := last(
                    served, dataclasses.replace(seeded(seed, 2000), return_state=True)
                )[1]
            ).reason
            == "end"
        )
        fresh = ask("The keys", max_tokens=20, sampling=SAMPLINGS["greedy"])
    else:
        task = ask(max_tokens=10**6, sampling=SAMPLINGS["greedy"], return_state=True)
        text, ended = last(served, dataclasses.replace(task, deadline_seconds=0.3))
        fresh = ask(PROMPT + text, max_tokens=20, sampling=SAMPLINGS["greedy"])
    assert ended.reason == reason
    prompt = "The keys" if reason == "end" else ""
    resumed = ask(prompt, max_tokens=20, sampling=SAMPLINGS["greedy"], state=ended.state)
    events = served.ask(resumed)
    assert finished_of(events)[0].completion_tokens > 0
    if reason == "deadline":
        assert text_of(events) == last(served, fresh)[0]


def test_a_token_does_not_grow_with_the_text(served: EngineClient) -> None:
    """A token after a thousand characters is as long as after ten, except for compression."""
    sizes = [
        len(last(served, ask(max_tokens=count, return_state=True))[1].state or "")
        for count in (10, 1000)
    ]
    assert abs(sizes[1] - sizes[0]) < 60


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_token_is_refused(served: EngineClient, data: st.DataObject) -> None:
    """Any changed bit, truncation or garbage is InvalidState, and the engine continues."""
    _, ended = last(served, ask(max_tokens=1, return_state=True))
    assert ended.state is not None
    raw = bytearray(base64.urlsafe_b64decode(ended.state + "=" * (-len(ended.state) % 4)))
    match data.draw(st.sampled_from(["flip", "cut", "garbage"])):
        case "flip":
            place = data.draw(st.integers(0, len(raw) - 1))
            raw[place] ^= 1 << data.draw(st.integers(0, 7))
            damaged = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        case "cut":
            damaged = ended.state[: data.draw(st.integers(0, len(ended.state) - 2))]
        case _:
            damaged = data.draw(st.text(max_size=300))
    with pytest.raises(InvalidState):
        served.submit(ask("", state=damaged))


def test_states_of_others_are_refused(
    served: EngineClient, tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of another key counts as damaged; another model, another format and several
    choices have errors of their own.
    """
    _, ended = last(served, ask(return_state=True))
    other_key = dataclasses.replace(OPTIONS, state_key=b"another key")
    with serving({"m": artifact}, other_key) as other, pytest.raises(InvalidState):
        other.submit(ask(state=ended.state))
    with monkeypatch.context() as later:
        later.setattr(state_token, "STATE_TOKEN_VERSION", 99)
        _, newer = last(served, ask(return_state=True))
    with pytest.raises(ForeignState, match="version 99"):
        served.submit(ask(state=newer.state))
    foreign = language_model(tmp_path, seed=9)
    with (
        serving({"m": foreign}, OPTIONS) as other,
        pytest.raises(ForeignState, match="model"),
    ):
        other.submit(ask(state=ended.state))
    with pytest.raises(InvalidTask, match="return_state"):
        served.submit(ask(n=2, return_state=True))
