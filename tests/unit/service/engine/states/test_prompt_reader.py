"""Skipped reading: cached prompts, and choices that share a prompt.

Every text is compared with the same text generated without a cache.
"""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest

from model.artifact import Artifact
from service.engine.api.tasks import NextWord
from service.engine.runners.engine import EngineOptions
from service.kernel.api.interface import Sampling
from tests.support.service.continuing import OPTIONS, PROMPT, SAMPLINGS, Reads, ask, last, seeded
from tests.support.service.engine_client import (
    TEXT,
    EngineClient,
    finished_of,
    language_model,
    serving,
    text_of,
)


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_a_prompt_that_comes_again_is_not_read_again(
    served: EngineClient, uncached: EngineClient, sampling: Sampling
) -> None:
    """All tokens except the last are cached, and the text is the same."""
    task = ask(sampling=sampling)
    expected, ended = last(uncached, task)
    assert ended.cached_tokens == 0
    assert [last(served, task)[0] for _ in range(2)] == [expected, expected]
    assert last(served, task)[1].cached_tokens == len(PROMPT) - 1


def test_a_conversation_goes_on_where_it_was(served: EngineClient, uncached: EngineClient) -> None:
    """A prompt that begins with an earlier prompt and its answer costs only its new tokens."""
    answer, ended = last(served, ask())
    longer = PROMPT + answer + " and then"
    text, continued = last(served, ask(longer))
    assert continued.cached_tokens == len(PROMPT) + ended.completion_tokens - (
        ended.reason == "length"
    )
    assert text == last(uncached, ask(longer))[0]


def test_a_shared_preamble_is_found_within_longer_prompts(
    served: EngineClient, uncached: EngineClient
) -> None:
    """States within a prompt serve other prompts with the same beginning."""
    preamble = TEXT[:-1] * 4
    last(served, ask(preamble + " A dog"))
    text, ended = last(served, ask(preamble + " The cats"))
    assert len(preamble) - 64 <= ended.cached_tokens <= len(preamble) + 1
    assert text == last(uncached, ask(preamble + " The cats"))[0]


@pytest.mark.parametrize("seed", range(4))
def test_a_crowd_of_related_prompts_is_served_as_each_alone(
    artifact: Artifact, options: EngineOptions, seed: int
) -> None:
    """Concurrent prompts with shared beginnings, choices, stop strings and evictions."""
    chance = random.Random(seed)
    tasks = [
        ask(
            (TEXT * 4)[: chance.choice([0, 1, 63, 64, 65, 130, 300])]
            + chance.choice(["", "a", "the"]),
            chance.randrange(1, 40),
            sampling=Sampling(seed=chance.randrange(9), temperature=chance.choice([0.0, 1.0])),
            n=chance.choice([1, 1, 2, 5]),
            stop=chance.choice([(), ("e",), ("the", "to")]),
            tenant=chance.choice(["", "one"]),
        )
        for _ in range(60)
    ]
    small = dataclasses.replace(options, rows=8, waiting=500, state_cache_bytes=40_000)
    with serving({"m": artifact}, dataclasses.replace(small, state_cache_bytes=0)) as uncached:
        expected = [uncached.ask(task) for task in tasks]
    with serving({"m": artifact}, small) as served:
        results = [served.wait(ticket) for ticket in [served.submit(task) for task in tasks]]
    for task, cached, other in zip(tasks, results, expected, strict=True):
        for index in range(task.n):
            assert text_of(cached, index) == text_of(other, index)
            assert finished_of(cached)[index].reason == finished_of(other)[index].reason


def test_a_common_prefix_is_read_twice_at_most(
    served: EngineClient, uncached: EngineClient, reads: Reads
) -> None:
    """The second prompt leaves a state where it diverges from the first; later prompts start
    there.
    """
    preamble = TEXT[:-1] * 3
    rests = [" A dog", " The cats", " Birds sing", " a"]
    for rest in rests:
        last(served, ask(preamble + rest, max_tokens=1))
    before = reads.tokens_read
    text, ended = last(served, ask(preamble + " keys", max_tokens=20))
    served.engine.stop(10.0)
    assert ended.cached_tokens == len(preamble) + 1  # all go on with a space
    assert reads.tokens_read - before == len("keys")
    assert text == last(uncached, ask(preamble + " keys", max_tokens=20))[0]


def test_a_text_of_one_token_neither_hits_nor_misses(served: EngineClient, reads: Reads) -> None:
    """[END] begins every prompt, so it is not a lookup."""
    for prompt in ("", "T", "T", "ke"):
        last(served, ask(prompt, max_tokens=1))
    assert reads.lookups == [False]


def test_a_conversation_goes_on_after_a_stop_string(
    served: EngineClient, uncached: EngineClient
) -> None:
    """The row is past the stop string, but an earlier state within the answer is cached."""
    long = (seeded(seed, 90, PROMPT) for seed in range(500))
    task = next(cached for cached in long if last(uncached, cached)[1].reason == "length")
    whole, _ = last(uncached, task)
    stop = whole[70:78]
    answer, ended = last(served, dataclasses.replace(task, stop=(stop,)))
    assert ended.reason == "stop"
    longer = PROMPT + answer + " and then"
    text, continued = last(served, ask(longer))
    known = continued.cached_tokens - len(PROMPT)
    assert len(answer) - 40 <= known <= len(answer)
    assert text == last(uncached, ask(longer))[0]


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_next_words_go_on_from_what_is_known(tmp_path: Path, kind: str) -> None:
    """A longer prompt costs only its new tokens, and the results are the same to the bit."""
    artifact = language_model(tmp_path, kind)
    reads = Reads()
    prompts = [TEXT[:length] for length in range(30, 60, 4)]
    forgetful_options = dataclasses.replace(OPTIONS, state_cache_bytes=0)
    with (
        serving({"m": artifact}, OPTIONS, reads) as cached,
        serving({"m": artifact}, forgetful_options) as two,
    ):
        for prompt in prompts:
            task = NextWord(model="m", prompt=prompt, top=3)
            assert cached.ask(task) == two.ask(task)
        cached.engine.stop(10.0)
    length = len(artifact.tokenizer.encode(prompts[-1]))
    assert reads.tokens_read <= length + 3 * len(prompts)


def test_tenants_never_share(served: EngineClient) -> None:
    """Prefixes of one tenant are unknown to another."""
    last(served, ask(tenant="one"))
    assert last(served, ask(tenant="other"))[1].cached_tokens == 0
    assert last(served, ask(tenant="one"))[1].cached_tokens > 0


@pytest.mark.parametrize("cached", [True, False])
def test_choices_read_their_prompt_once(
    served: EngineClient, uncached: EngineClient, cached: bool
) -> None:
    """One of several choices reads the prompt, and each has the same text as without sharing."""
    used = served if cached else uncached
    for again in (False, True):
        events = used.ask(ask(n=3))
        known = len(PROMPT) - 1
        counted = [finished_of(events)[index].cached_tokens for index in range(3)]
        assert counted == [known if cached and again else 0, known, known]
    scored = uncached.ask(ask(n=3, echo=True, logprobs=0))  # each reads it all
    for index in range(3):
        assert PROMPT + text_of(events, index) == "".join(
            getattr(event, "text", "") for event in scored if getattr(event, "index", -1) == index
        )


def test_scores_of_a_prompt_are_never_skipped(served: EngineClient) -> None:
    """With echo and logprobs every token of a known prompt is read and scored."""
    last(served, ask())
    echo, *_ = events = served.ask(ask(echo=True, logprobs=0))
    assert len(echo.tokens) == len(PROMPT)  # type: ignore[union-attr]
    assert finished_of(events)[0].cached_tokens == 0
