"""POST /v1/completions: prompts, choices, log-probabilities, usage."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types import Completion

from model.artifact import load_artifact
from tests.support.service.process import RunningService

PROMPT = "The keys"


@pytest.fixture(scope="module")
def tokenize(models: Any) -> Any:
    """Token ids of a text, by the name of a model."""
    return lambda model, text: load_artifact(models / model).tokenizer.encode(text)


def end_of(models: Any, model: str) -> int:
    """The id of [END]."""
    return load_artifact(models / model).tokenizer.end


def ask(client: openai.OpenAI, **fields: Any) -> Completion:
    """A completion that is not streamed."""
    answer = client.completions.create(**{"model": "words", "prompt": PROMPT, "seed": 1, **fields})
    assert isinstance(answer, Completion)
    return answer


def texts(completion: Completion) -> list[str]:
    """The texts of the choices."""
    return [choice.text for choice in completion.choices]


def test_the_response_has_the_fields_of_the_protocol(service: RunningService) -> None:
    """A plain request has every field and no other, and generates 16 tokens."""
    answer = service.ask("/v1/completions", model="words", prompt=PROMPT)
    assert set(answer) == {
        *("id", "object", "created", "model", "system_fingerprint", "choices", "usage")
    }
    assert answer["object"] == "text_completion"
    assert answer["model"] == "words"
    (choice,) = answer["choices"]
    assert set(choice) == {"index", "text", "logprobs", "finish_reason"}
    assert choice["logprobs"] is None
    assert choice["finish_reason"] == "length"
    usage = answer["usage"]
    assert usage["prompt_tokens"] == 2
    assert usage["completion_tokens"] == 16
    assert usage["total_tokens"] == 18
    assert set(usage["prompt_tokens_details"]) == {"cached_tokens"}


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_the_text_is_that_of_generate(
    service: RunningService, client: openai.OpenAI, model: str
) -> None:
    """The same request with the same seed gives the text of /generate."""
    text = service.text(model=model, prompt=PROMPT, max_tokens=12, seed=7, top_p=0.9)
    assert texts(ask(client, model=model, max_tokens=12, seed=7, top_p=0.9)) == [text]


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_ids_are_read_as_they_are(
    client: openai.OpenAI, models: Any, tokenize: Any, model: str
) -> None:
    """[END] and a text's ids give what the text gives; ids without [END] are read without it."""
    ids = tokenize(model, PROMPT)
    options: dict[str, Any] = {
        "model": model,
        "max_tokens": 8,
        "logprobs": 2,
        "temperature": 0,
    }
    of_text = ask(client, **options).choices[0]
    of_ids = ask(client, prompt=[end_of(models, model), *ids], **options).choices[0]
    assert of_ids.text == of_text.text
    assert of_ids.logprobs is not None
    assert of_text.logprobs is not None
    assert of_ids.logprobs.token_logprobs == of_text.logprobs.token_logprobs
    bare = ask(client, prompt=ids, **options).choices[0]
    assert bare.logprobs is not None
    assert bare.logprobs.token_logprobs != of_text.logprobs.token_logprobs


def test_choices_of_several_prompts(client: openai.OpenAI, tokenize: Any) -> None:
    """N choices of each prompt, prompt by prompt, are those of single requests."""
    prompts = [PROMPT, "A dog", ""]
    together = ask(client, prompt=prompts, n=2)
    assert [choice.index for choice in together.choices] == list(range(6))
    single = [text for prompt in prompts for text in texts(ask(client, prompt=prompt, n=2))]
    assert texts(together) == single
    assert together.usage is not None
    assert together.usage.prompt_tokens == 4
    assert together.usage.completion_tokens == 6 * 16
    ids = [tokenize("words", prompt) for prompt in prompts[:2]]
    lists = ask(client, prompt=ids, n=2)
    assert texts(lists) == [text for one in ids for text in texts(ask(client, prompt=one, n=2))]


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
@pytest.mark.parametrize("kind", ["text", "ids"])
def test_echo_scores_the_prompt(
    service: RunningService, client: openai.OpenAI, tokenize: Any, model: str, kind: str
) -> None:
    """With echo there is a value for each token of the prompt, the first of them null, and for
    each generated one; those of a text are those of /score.
    """
    text = "The é keys to nowhere"
    ids = tokenize(model, text)
    prompt = text if kind == "text" else ids
    choice = ask(client, model=model, prompt=prompt, echo=True, logprobs=3, max_tokens=1).choices[0]
    logprobs = choice.logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs is not None
    values: list[float | None] = [*logprobs.token_logprobs]
    assert len(values) == len(ids) + 1
    assert values[0] is None
    assert None not in values[1:]
    assert logprobs.top_logprobs is not None
    tops: list[dict[str, float] | None] = [*logprobs.top_logprobs]
    assert tops[0] is None
    if kind == "text":
        scored = service.ask("/score", model=model, texts=[text])["results"][0]["tokens"]
        expected = [token["logprob"] for token in scored]
        assert values[1:-1] == pytest.approx(expected[1:], abs=1e-6)


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_offsets_and_alternatives(client: openai.OpenAI, model: str) -> None:
    """text_offset counts characters; each token is among its own alternatives, of which there are
    N or N + 1; their largest is the token's own if it is the likeliest.
    """
    prompt = "The é keys"
    choice = ask(client, model=model, prompt=prompt, echo=True, logprobs=2, max_tokens=6).choices[0]
    logprobs = choice.logprobs
    assert logprobs is not None
    assert logprobs.tokens is not None
    assert logprobs.text_offset is not None
    assert logprobs.top_logprobs is not None
    assert logprobs.token_logprobs is not None
    assert choice.text.startswith(prompt)
    bounds = [*logprobs.text_offset, len(choice.text)]
    for index, token in enumerate(logprobs.tokens):
        shown = choice.text[bounds[index] : bounds[index + 1]]
        assert token == shown or token.startswith("bytes:") or "\ufffd" in shown
        alternatives = logprobs.top_logprobs[index]
        if index > 0:
            assert alternatives[token] == logprobs.token_logprobs[index]
            assert 2 <= len(alternatives) <= 3


def test_the_end_is_a_token_with_logprobs(client: openai.OpenAI) -> None:
    """A generated [END] has a value, so that max_tokens of 1 always gives one; it is counted."""
    ended = 0
    for seed in range(60):
        answer = ask(client, model="brief", max_tokens=1, logprobs=1, echo=True, seed=seed)
        (choice,) = answer.choices
        assert choice.logprobs is not None
        assert choice.logprobs.tokens is not None
        assert len(choice.logprobs.tokens) == 3
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 1
        if choice.logprobs.tokens[-1] == "[END]":
            ended += 1
            assert choice.finish_reason == "stop"
            assert choice.text == PROMPT
    assert ended


def test_best_of_returns_the_likeliest(client: openai.OpenAI) -> None:
    """best_of returns the choices with the highest mean log-probability, best first."""
    every = ask(client, n=6, logprobs=0, max_tokens=8)

    def mean(index: int) -> float:
        logprobs = every.choices[index].logprobs
        assert logprobs is not None
        assert logprobs.token_logprobs is not None
        return sum(value or 0.0 for value in logprobs.token_logprobs) / 8

    expected = sorted(range(6), key=mean, reverse=True)[:2]
    best = ask(client, n=2, best_of=6, max_tokens=8)
    assert texts(best) == [every.choices[index].text for index in expected]
    assert [choice.index for choice in best.choices] == [0, 1]
    assert best.choices[0].logprobs is None
    assert best.usage is not None
    assert best.usage.completion_tokens == 48


def test_stop_is_a_string_or_a_list(client: openai.OpenAI) -> None:
    """A stop string ends the text and is not part of it."""
    (whole,) = texts(ask(client, max_tokens=30))
    word = whole.split()[4]
    for stop in (word, [word, "@"]):
        choice = ask(client, max_tokens=30, stop=stop).choices[0]
        assert choice.finish_reason == "stop"
        assert choice.text == whole[: whole.index(word)]


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**63 - 1])
def test_every_seed_of_64_bits_repeats(client: openai.OpenAI, seed: int) -> None:
    """Seeds are signed integers of 64 bits."""
    assert texts(ask(client, seed=seed)) == texts(ask(client, seed=seed))


def test_neutral_values_of_other_fields_change_nothing(client: openai.OpenAI) -> None:
    """Clients that send every field with its default are answered."""
    plain = texts(ask(client))
    extra = {
        "min_tokens": 0,
        "ignore_eos": False,
        "length_penalty": 1.0,
        "top_k": -1,
        "min_p": 0,
        "repetition_penalty": 1,
        "stop_token_ids": [],
        "deadline_ms": None,
        "response_format": {"type": "text"},
        "use_beam_search": False,
    }
    full = ask(
        client,
        best_of=1,
        logprobs=None,
        suffix="",
        stop=None,
        user="someone",
        echo=False,
        extra_body=extra,
    )
    assert texts(full) == plain


def test_logit_bias_forces_and_bans(client: openai.OpenAI, tokenize: Any) -> None:
    """A bias of 100 makes a token certain; a bias of -100 removes it."""
    (dog,) = tokenize("words", " dog")
    assert texts(ask(client, max_tokens=4, logit_bias={str(dog): 100})) == [" dog" * 4]
    (greedy,) = texts(ask(client, max_tokens=1, temperature=0))
    (token,) = tokenize("words", greedy)
    (other,) = texts(ask(client, max_tokens=1, temperature=0, logit_bias={str(token): -100}))
    assert other != greedy
    assert texts(ask(client, max_tokens=1, temperature=0, logit_bias={})) == [greedy]


def test_logprobs_are_those_before_bias_and_penalties(client: openai.OpenAI, tokenize: Any) -> None:
    """Log-probabilities are the model's own."""
    (dog,) = tokenize("words", " dog")
    forced = ask(client, max_tokens=1, logprobs=0, logit_bias={str(dog): 100}).choices[0]
    scored = ask(client, prompt=f"{PROMPT} dog", echo=True, max_tokens=0, logprobs=0).choices[0]
    assert forced.logprobs is not None
    assert scored.logprobs is not None
    assert forced.logprobs.token_logprobs is not None
    assert scored.logprobs.token_logprobs is not None
    assert forced.logprobs.token_logprobs[0] == pytest.approx(scored.logprobs.token_logprobs[2])


def test_penalties_count_generated_tokens(client: openai.OpenAI, tokenize: Any) -> None:
    """A bias that makes a token certain is overcome by a frequency penalty after some repeats, not
    by a presence penalty; the prompt is not counted.
    """
    (dog,) = tokenize("words", " dog")
    options: dict[str, Any] = {
        "prompt": "A dog dog dog",
        "temperature": 0,
        "max_tokens": 40,
        "logit_bias": {str(dog): 30},
    }
    (plain,) = texts(ask(client, **options))
    assert plain == " dog" * 40
    assert texts(ask(client, presence_penalty=2, **options)) == [plain]
    (fewer,) = texts(ask(client, frequency_penalty=2, **options))
    assert fewer.startswith(" dog" * 5)
    assert 5 < fewer.count(" dog") < 25


def test_the_sampling_options_are_those_of_generate(
    service: RunningService, client: openai.OpenAI
) -> None:
    """Penalties and biases have the same effect on both routes."""
    options: dict[str, Any] = {
        "presence_penalty": 0.6,
        "frequency_penalty": -0.4,
        "logit_bias": {"5": 2.5},
        "max_tokens": 25,
        "seed": 3,
        "prompt": PROMPT,
        "model": "chars",
    }
    extra = {"repetition_penalty": 1.2, "top_k": 20, "min_p": 0.01}
    text = service.text(**options, **extra)
    assert texts(ask(client, **options, extra_body=extra)) == [text]
    assert service.text(model="chars", prompt=PROMPT, max_tokens=25, seed=3, **extra) != text
