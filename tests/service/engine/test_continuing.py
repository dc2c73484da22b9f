"""What need not be read again: the state cache, choices that share a prompt, states brought along.

Everything here is compared with the same text generated in one go without any of it.
"""

# ruff: noqa: ARG002 an observer hears more than it keeps

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
from service.engine import portable_state
from service.engine.engine import EngineOptions
from service.engine.errors import ForeignState, InvalidState, InvalidTask
from service.engine.language_model_runner import LanguageModelRunner
from service.engine.observer import Observer
from service.engine.tasks import Finished, Generate, NextWord
from service.kernel.interface import RowResult, RowWork, Sampling
from tests.service.engine.serving import TEXT, Desk, desk, finished_of, language_model, text_of

PROMPT = "The keys to the cabinet are on the table"
OPTIONS = EngineOptions(threads=1, kernel="native", state_key=b"a key")
SAMPLINGS = {
    "greedy": Sampling(temperature=0.0),
    "sampled": Sampling(seed=77),
    "penalised": Sampling(seed=5, repetition_penalty=1.4, top_k=12),
}


class Reads(Observer):
    """Counts tokens of prompts that were read, and lookups by whether they found anything."""

    def __init__(self) -> None:
        self.tokens_read = 0
        self.lookups: list[bool] = []

    def tokens(self, model: str, prompt: int, generated: int) -> None:
        self.tokens_read += prompt

    def cache_lookup(self, model: str, *, hit: bool) -> None:
        self.lookups.append(hit)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A character model."""
    return language_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(params=["native", "torch"])
def options(request: pytest.FixtureRequest) -> EngineOptions:
    """Either kernel: what is cached must be exact with both."""
    return dataclasses.replace(OPTIONS, kernel=request.param)


@pytest.fixture
def reads() -> Reads:
    """Counts what the engine below reads."""
    return Reads()


@pytest.fixture
def served(artifact: Artifact, options: EngineOptions, reads: Reads) -> Iterator[Desk]:
    """An engine that remembers."""
    with desk({"m": artifact}, options, reads) as opened:
        yield opened


@pytest.fixture
def forgetful(artifact: Artifact, options: EngineOptions) -> Iterator[Desk]:
    """The same without a cache."""
    with desk({"m": artifact}, dataclasses.replace(options, state_cache_bytes=0)) as opened:
        yield opened


def ask(prompt: str = PROMPT, max_tokens: int = 25, **more: object) -> Generate:
    """A task, with defaults."""
    sampling = more.pop("sampling", SAMPLINGS["sampled"])
    return Generate(
        model="m",
        prompt=prompt,
        max_tokens=max_tokens,
        sampling=sampling,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def _seeded(seed: int, max_tokens: int, prompt: str = "") -> Generate:
    return ask(prompt, max_tokens, sampling=Sampling(seed=seed))


def last(served: Desk, task: Generate) -> tuple[str, Finished]:
    """The text of the only choice, and its end."""
    events = served.ask(task)
    return text_of(events), finished_of(events)[0]


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_a_prompt_that_comes_again_is_not_read_again(
    served: Desk, forgetful: Desk, sampling: Sampling
) -> None:
    """All of it but its last character is cached, and the text is the same to the letter."""
    task = ask(sampling=sampling)
    expected, ended = last(forgetful, task)
    assert ended.cached_tokens == 0
    assert [last(served, task)[0] for _ in range(2)] == [expected, expected]
    assert last(served, task)[1].cached_tokens == len(PROMPT) - 1


def test_a_conversation_goes_on_where_it_was(served: Desk, forgetful: Desk) -> None:
    """A prompt that begins with an earlier prompt and its answer costs only what is new."""
    answer, ended = last(served, ask())
    longer = PROMPT + answer + " and then"
    text, continued = last(served, ask(longer))
    assert continued.cached_tokens == len(PROMPT) + ended.completion_tokens - (
        ended.reason == "length"
    )
    assert text == last(forgetful, ask(longer))[0]


def test_a_shared_preamble_is_found_within_longer_prompts(served: Desk, forgetful: Desk) -> None:
    """By checkpoints inside a prompt, another one with the same beginning starts from there."""
    preamble = TEXT[:-1] * 4
    last(served, ask(preamble + " A dog"))
    text, ended = last(served, ask(preamble + " The cats"))
    assert len(preamble) - 64 <= ended.cached_tokens <= len(preamble) + 1
    assert text == last(forgetful, ask(preamble + " The cats"))[0]


def test_what_many_prompts_begin_with_is_read_twice_at_most(
    served: Desk, forgetful: Desk, reads: Reads
) -> None:
    """The second prompt leaves a state where it parts from the first; from there on all begin."""
    preamble = TEXT[:-1] * 3
    rests = [" A dog", " The cats", " Birds sing", " a"]
    for rest in rests:
        last(served, ask(preamble + rest, max_tokens=1))
    before = reads.tokens_read
    text, ended = last(served, ask(preamble + " keys", max_tokens=20))
    served.engine.stop(10.0)
    assert ended.cached_tokens == len(preamble) + 1  # all go on with a space
    assert reads.tokens_read - before == len("keys")
    assert text == last(forgetful, ask(preamble + " keys", max_tokens=20))[0]


def test_a_text_of_one_token_neither_hits_nor_misses(served: Desk, reads: Reads) -> None:
    """[END] is before every prompt: knowing it saves nothing and is called no hit."""
    for prompt in ("", "T", "T", "ke"):
        last(served, ask(prompt, max_tokens=1))
    assert reads.lookups == [False]


def test_a_conversation_goes_on_after_a_stop_string(served: Desk, forgetful: Desk) -> None:
    """The row has run ahead of a stop string, but an earlier place in the answer is known."""
    long = (_seeded(seed, 90, PROMPT) for seed in range(500))
    task = next(one for one in long if last(forgetful, one)[1].reason == "length")
    whole, _ = last(forgetful, task)
    stop = whole[70:78]
    answer, ended = last(served, dataclasses.replace(task, stop=(stop,)))
    assert ended.reason == "stop"
    longer = PROMPT + answer + " and then"
    text, continued = last(served, ask(longer))
    known = continued.cached_tokens - len(PROMPT)
    assert len(answer) - 40 <= known <= len(answer)
    assert text == last(forgetful, ask(longer))[0]


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_next_words_go_on_from_what_is_known(tmp_path: Path, kind: str) -> None:
    """A longer prompt costs what is new in it, and the answers are the same to the last bit."""
    artifact = language_model(tmp_path, kind)
    reads = Reads()
    prompts = [TEXT[:length] for length in range(30, 60, 4)]
    forgetful_options = dataclasses.replace(OPTIONS, state_cache_bytes=0)
    with (
        desk({"m": artifact}, OPTIONS, reads) as one,
        desk({"m": artifact}, forgetful_options) as two,
    ):
        for prompt in prompts:
            task = NextWord(model="m", prompt=prompt, top=3)
            assert one.ask(task) == two.ask(task)
        one.engine.stop(10.0)
    length = len(artifact.tokenizer.encode(prompts[-1]))
    assert reads.tokens_read <= length + 3 * len(prompts)


def test_tenants_never_share(served: Desk) -> None:
    """What one has had read is unknown when another asks."""
    last(served, ask(tenant="one"))
    assert last(served, ask(tenant="other"))[1].cached_tokens == 0
    assert last(served, ask(tenant="one"))[1].cached_tokens > 0


@pytest.mark.parametrize("cached", [True, False])
def test_choices_read_their_prompt_once(served: Desk, forgetful: Desk, cached: bool) -> None:
    """Of several choices one reads the prompt, and each has the text that it has without that."""
    desk_used = served if cached else forgetful
    for again in (False, True):
        events = desk_used.ask(ask(n=3))
        known = len(PROMPT) - 1
        counted = [finished_of(events)[index].cached_tokens for index in range(3)]
        assert counted == [known if cached and again else 0, known, known]
    scored = forgetful.ask(ask(n=3, echo=True, logprobs=0))  # each reads it all
    for index in range(3):
        assert PROMPT + text_of(events, index) == "".join(
            getattr(event, "text", "") for event in scored if getattr(event, "index", -1) == index
        )


def test_scores_of_a_prompt_are_never_skipped(served: Desk) -> None:
    """With echo and logprobs every token of a known prompt is read and scored."""
    last(served, ask())
    echo, *_ = events = served.ask(ask(echo=True, logprobs=0))
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
        whole, _ = last(one, ask(max_tokens=30, sampling=sampling))
        first, ended = last(one, ask(max_tokens=11, sampling=sampling, return_state=True))
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


def test_a_prompt_after_a_state_is_read_as_the_continuation(served: Desk) -> None:
    """State, answer and the next words give what the whole conversation in one prompt gives."""
    greedy = SAMPLINGS["greedy"]
    answer, ended = last(served, ask(max_tokens=9, sampling=greedy, return_state=True))
    assert ended.reason == "length"
    resumed = ask(" the", sampling=greedy, state=ended.state, n=2)
    whole, _ = last(served, ask(PROMPT + answer + " the", sampling=greedy))
    events = served.ask(resumed)
    assert [text_of(events, index) for index in range(2)] == [whole, whole]


def test_a_state_after_a_stop_string_has_read_it(served: Desk, forgetful: Desk) -> None:
    """Nothing runs ahead of the stop string: going on continues right after it."""
    whole, _ = last(forgetful, ask(max_tokens=40))
    stop = whole[12:14]
    part, ended = last(served, ask(max_tokens=40, stop=(stop,), return_state=True))
    assert ended.reason == "stop"
    assert part == whole[: whole.index(stop)]
    rest, _ = last(served, ask("", max_tokens=10, state=ended.state, seed_is_given=False))
    begin = whole.index(stop) + len(stop)
    assert rest == whole[begin : begin + 10]


@contextmanager
def standing_still(served: Desk) -> Iterator[None]:
    """No row reads anything in here."""
    runner = served.engine._runners["m"]
    assert isinstance(runner, LanguageModelRunner)
    run = runner._kernel.run

    def nothing(work: Sequence[RowWork], steps: int, *, cut_at_end: bool) -> list[RowResult]:
        return [RowResult() for _ in work]

    runner._kernel.run = nothing  # type: ignore[method-assign, assignment]
    yield
    runner._kernel.run = run  # type: ignore[method-assign]


def test_a_deadline_before_the_prompt_is_read_gives_back_where_it_began(served: Desk) -> None:
    """Asking again with that state and the prompt misses nothing, after a state as without one."""
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
def test_a_text_goes_on_after_any_end(served: Desk, reason: str) -> None:
    """After [END] another text begins as any does; after a deadline the same text goes on."""
    if reason == "end":
        ended = next(
            one
            for seed in range(50)
            if (
                one := last(served, dataclasses.replace(_seeded(seed, 2000), return_state=True))[1]
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


def test_a_token_does_not_grow_with_the_text(served: Desk) -> None:
    """After a thousand characters it is as long as after ten, give or take compression."""
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
def test_a_damaged_token_is_refused(served: Desk, data: st.DataObject) -> None:
    """Any change of any bit, any cut and any garbage is InvalidState, and nothing breaks."""
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
    served: Desk, tmp_path: Path, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another key cannot be told from damage; another model, another format and several choices
    are named.
    """
    _, ended = last(served, ask(return_state=True))
    other_key = dataclasses.replace(OPTIONS, state_key=b"another key")
    with desk({"m": artifact}, other_key) as other, pytest.raises(InvalidState):
        other.submit(ask(state=ended.state))
    with monkeypatch.context() as later:
        later.setattr(portable_state, "VERSION", 2)
        _, newer = last(served, ask(return_state=True))
    with pytest.raises(ForeignState, match="version 2"):
        served.submit(ask(state=newer.state))
    foreign = language_model(tmp_path, seed=9)
    with desk({"m": foreign}, OPTIONS) as other, pytest.raises(ForeignState, match="model"):
        other.submit(ask(state=ended.state))
    with pytest.raises(InvalidTask, match="return_state"):
        served.submit(ask(n=2, return_state=True))
