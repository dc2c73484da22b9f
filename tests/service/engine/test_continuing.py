"""What need not be read again: the state cache, choices that share a prompt, states brought along.

Everything here is compared with the same text generated in one go without any of it.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.architecture import CELLS, Cell
from model.artifact import Artifact
from service.engine.engine import EngineOptions
from service.engine.errors import ForeignState, InvalidState, InvalidTask
from service.engine.tasks import Finished, Generate
from service.kernel.interface import Sampling
from tests.service.engine.serving import TEXT, Desk, desk, finished_of, language_model, text_of

PROMPT = "The keys to the cabinet are on the table"
OPTIONS = EngineOptions(threads=1, kernel="native", state_key=b"a key")
SAMPLINGS = {
    "greedy": Sampling(temperature=0.0),
    "sampled": Sampling(seed=77),
    "penalised": Sampling(seed=5, repetition_penalty=1.4, top_k=12),
}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model."""
    return language_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def served(artifact: Artifact) -> Iterator[Desk]:
    """An engine that remembers."""
    with desk({"m": artifact}, OPTIONS) as opened:
        yield opened


@pytest.fixture
def forgetful(artifact: Artifact) -> Iterator[Desk]:
    """The same without a cache."""
    with desk({"m": artifact}, dataclasses.replace(OPTIONS, state_cache_bytes=0)) as opened:
        yield opened


def ask(served: Desk, prompt: str = PROMPT, max_tokens: int = 25, **more: object) -> Generate:
    """A task, with defaults."""
    del served
    sampling = more.pop("sampling", SAMPLINGS["sampled"])
    return Generate(
        model="m",
        prompt=prompt,
        max_tokens=max_tokens,
        sampling=sampling,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def last(served: Desk, task: Generate) -> tuple[str, Finished]:
    """The text of the only choice, and its end."""
    events = served.ask(task)
    return text_of(events), finished_of(events)[0]


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_a_prompt_that_comes_again_is_not_read_again(
    served: Desk, forgetful: Desk, sampling: Sampling
) -> None:
    """All of it but its last character is cached, and the text is the same to the letter."""
    task = ask(served, sampling=sampling)
    expected, ended = last(forgetful, task)
    assert ended.cached_tokens == 0
    assert [last(served, task)[0] for _ in range(2)] == [expected, expected]
    assert last(served, task)[1].cached_tokens == len(PROMPT) - 1


def test_a_conversation_goes_on_where_it_was(served: Desk, forgetful: Desk) -> None:
    """A prompt that begins with an earlier prompt and its answer costs only what is new."""
    answer, ended = last(served, ask(served))
    longer = PROMPT + answer + " and then"
    text, continued = last(served, ask(served, longer))
    assert continued.cached_tokens == len(PROMPT) + ended.completion_tokens - (
        ended.reason == "length"
    )
    assert text == last(forgetful, ask(forgetful, longer))[0]


def test_a_shared_preamble_is_found_within_longer_prompts(served: Desk, forgetful: Desk) -> None:
    """By checkpoints inside a prompt, another one with the same beginning starts from there."""
    preamble = TEXT[:-1] * 4
    last(served, ask(served, preamble + " A dog"))
    text, ended = last(served, ask(served, preamble + " The cats"))
    assert len(preamble) - 64 <= ended.cached_tokens <= len(preamble) + 1
    assert text == last(forgetful, ask(forgetful, preamble + " The cats"))[0]


def test_tenants_never_share(served: Desk) -> None:
    """What one has had read is unknown when another asks."""
    last(served, ask(served, tenant="one"))
    assert last(served, ask(served, tenant="other"))[1].cached_tokens == 0
    assert last(served, ask(served, tenant="one"))[1].cached_tokens > 0


@pytest.mark.parametrize("cached", [True, False])
def test_choices_read_their_prompt_once(served: Desk, forgetful: Desk, cached: bool) -> None:
    """Of several choices one reads the prompt, and each has the text that it has without that."""
    desk_used = served if cached else forgetful
    for again in (False, True):
        events = desk_used.ask(ask(desk_used, n=3))
        known = len(PROMPT) - 1
        counted = [finished_of(events)[index].cached_tokens for index in range(3)]
        assert counted == [known if cached and again else 0, known, known]
    scored = forgetful.ask(ask(forgetful, n=3, echo=True, logprobs=0))  # each reads it all
    for index in range(3):
        assert PROMPT + text_of(events, index) == "".join(
            getattr(event, "text", "") for event in scored if getattr(event, "index", -1) == index
        )


def test_scores_of_a_prompt_are_never_skipped(served: Desk) -> None:
    """With echo and logprobs every token of a known prompt is read and scored."""
    last(served, ask(served))
    echo, *_ = events = served.ask(ask(served, echo=True, logprobs=0))
    assert len(echo.tokens) == len(PROMPT)  # type: ignore[union-attr]
    assert finished_of(events)[0].cached_tokens == 0


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_two_halves_are_the_whole(
    tmp_path: Path, cell: Cell, kind: str, sampling: Sampling
) -> None:
    """Stopped and resumed on another engine with the same key, the text is the unbroken one."""
    artifact = language_model(tmp_path, kind, cell)
    with desk({"m": artifact}, OPTIONS) as one, desk({"m": artifact}, OPTIONS) as other:
        whole, _ = last(one, ask(one, max_tokens=30, sampling=sampling))
        first, ended = last(one, ask(one, max_tokens=11, sampling=sampling, return_state=True))
        assert ended.state is not None
        if ended.reason == "end":
            assert first == whole
            return
        rest = ask(
            other,
            "",
            max_tokens=19,
            sampling=dataclasses.replace(sampling, seed=1),
            state=ended.state,
            seed_is_given=False,
        )
        second, finished = last(other, rest)
        assert first + second == whole
        assert finished.seed == sampling.seed


def test_a_prompt_after_a_state_is_read_as_the_continuation(served: Desk) -> None:
    """State, answer and the next words give what the whole conversation in one prompt gives."""
    greedy = SAMPLINGS["greedy"]
    answer, ended = last(served, ask(served, max_tokens=9, sampling=greedy, return_state=True))
    assert ended.reason == "length"
    resumed = ask(served, " the", sampling=greedy, state=ended.state, n=2)
    whole, _ = last(served, ask(served, PROMPT + answer + " the", sampling=greedy))
    events = served.ask(resumed)
    assert [text_of(events, index) for index in range(2)] == [whole, whole]


def test_a_state_after_a_stop_string_has_read_it(served: Desk, forgetful: Desk) -> None:
    """Nothing runs ahead of the stop string: going on continues right after it."""
    whole, _ = last(forgetful, ask(forgetful, max_tokens=40))
    stop = whole[12:14]
    part, ended = last(served, ask(served, max_tokens=40, stop=(stop,), return_state=True))
    assert ended.reason == "stop"
    assert part == whole[: whole.index(stop)]
    rest, _ = last(served, ask(served, "", max_tokens=10, state=ended.state, seed_is_given=False))
    begin = whole.index(stop) + len(stop)
    assert rest == whole[begin : begin + 10]


def test_a_token_does_not_grow_with_the_text(served: Desk) -> None:
    """After a thousand characters it is as long as after ten, give or take compression."""
    sizes = [
        len(last(served, ask(served, max_tokens=count, return_state=True))[1].state or "")
        for count in (10, 1000)
    ]
    assert abs(sizes[1] - sizes[0]) < 60


@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_damaged_token_is_refused(served: Desk, data: st.DataObject) -> None:
    """Any change of any bit, any cut and any garbage is InvalidState, and nothing breaks."""
    _, ended = last(served, ask(served, max_tokens=1, return_state=True))
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
        served.submit(ask(served, "", state=damaged))


def test_states_of_others_are_refused(served: Desk, tmp_path: Path, artifact: Artifact) -> None:
    """Another key cannot be told from damage; another model and several choices are named."""
    _, ended = last(served, ask(served, return_state=True))
    other_key = dataclasses.replace(OPTIONS, state_key=b"another key")
    with desk({"m": artifact}, other_key) as other, pytest.raises(InvalidState):
        other.submit(ask(other, state=ended.state))
    foreign = language_model(tmp_path, seed=9)
    with desk({"m": foreign}, OPTIONS) as other, pytest.raises(ForeignState, match="model"):
        other.submit(ask(other, state=ended.state))
    with pytest.raises(InvalidTask, match="return_state"):
        served.submit(ask(served, n=2, return_state=True))
