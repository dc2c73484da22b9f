"""State tokens and repeated prompts over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service.process import RunningService, error_of, run_to_end

STATE_KEY = "5f0c3d9a1b7e4826" * 4
KEYS = {"one": {"Authorization": "Bearer one"}, "two": {"X-API-Key": "two"}}
PROMPT = "The keys to the old cabinet"


@pytest.fixture(scope="module")
def keyed(models: Path) -> Iterator[RunningService]:
    """A service with two API keys and a state key."""
    arguments = ("--default-language-model", "words")
    environment = {"UNROLL_API_KEYS": "one,two", "UNROLL_STATE_KEY": STATE_KEY}
    with RunningService(models, *arguments, **environment) as running:
        yield running


def test_a_text_goes_on_where_it_stopped(service: RunningService) -> None:
    """Two requests give the text of one, whole and as a stream, with the seed of the first."""
    fields = {"prompt": PROMPT, "seed": 11}
    whole = service.ask("/generate", **fields, max_tokens=30)
    first = service.ask("/generate", **fields, max_tokens=10, return_state=True)
    second = service.ask("/generate", max_tokens=20, state=first["state"])
    texts = [answer["choices"][0]["text"] for answer in (whole, first, second)]
    assert texts[0] == texts[1] + texts[2]
    assert second["seed"] == 11
    assert "state" not in whole
    *events, end = service.events(**fields, max_tokens=10, return_state=True)
    assert "".join(event["text"] for event in events) == texts[1]
    resumed = service.events(max_tokens=20, state=end["state"])
    assert "".join(event.get("text", "") for event in resumed) == texts[2]


def test_states_are_refused_by_name(service: RunningService) -> None:
    """A damaged token is a 400, one of another model a 409, without effect on later requests."""
    token = service.ask("/generate", prompt="The", max_tokens=2, return_state=True)["state"]
    for body, status, kind in (
        ({"state": token[:-6]}, 400, "invalid_state"),
        ({"state": "x" + token[1:]}, 400, "invalid_state"),
        ({"state": "no base64"}, 400, "invalid_state"),
        ({"state": token, "model": "brief"}, 409, "foreign_state"),
        ({"return_state": True, "n": 2}, 422, "invalid_request"),
    ):
        for stream in (False, True):
            response = service.post("/generate", {"max_tokens": 2, "stream": stream, **body})
            assert response.status_code == status, response.text
            assert error_of(response)["type"] == kind
    assert service.ask("/generate", max_tokens=2, state=token)["choices"]


def test_usage_and_metrics_count_cached_tokens(fresh_service: RunningService) -> None:
    """The second time only the last token is read; hits, misses and bytes are exported."""
    service = fresh_service
    fields = {"model": "words", "prompt": PROMPT, "max_tokens": 3, "seed": 1}
    first, second = (service.ask("/generate", **fields) for _ in range(2))
    assert first["usage"]["cached_tokens"] == 0
    assert second["usage"]["cached_tokens"] == second["usage"]["prompt_tokens"] - 1
    assert first["choices"] == second["choices"]
    lookups = "unroll_state_cache_lookups_total"
    assert service.metric(lookups, model="words", result="hit") == 1
    assert service.metric(lookups, model="words", result="miss") == 1
    assert service.metric("unroll_state_cache_bytes", model="words") > 0


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_cached_answers_are_the_uncached_ones(
    service: RunningService, models: Path, model: str
) -> None:
    """Texts and log-probabilities are equal to the bit: first and repeated, one choice and two,
    continued or not; next words as well.
    """
    preamble = PROMPT + " . A dog near the cats runs home , and nobody knows why"
    with RunningService(models, UNROLL_STATE_CACHE_BYTES="0") as uncached:
        for rest in (" it does", " it does", " small birds", " far", " far and"):
            fields = {"model": model, "prompt": preamble + rest, "seed": 3, "logprobs": 3}
            for n in (1, 2):
                cached, plain = (
                    server.ask("/generate", **fields, max_tokens=12, n=n)
                    for server in (service, uncached)
                )
                assert cached["choices"] == plain["choices"]
                assert plain["usage"]["cached_tokens"] == 0
            words = [
                server.ask("/next-word", model=model, prompt=fields["prompt"])
                for server in (service, uncached)
            ]
            assert words[0] == words[1]
        assert cached["usage"]["cached_tokens"] == cached["usage"]["prompt_tokens"] - 1
        assert uncached.metric("unroll_state_cache_bytes", model=model) == 0
        lookups = "unroll_state_cache_lookups_total"
        assert uncached.metric(lookups, model=model, result="miss") == 0


def test_keys_do_not_share_a_cache(keyed: RunningService) -> None:
    """A prompt that one key has sent is not cached for another."""
    cached = []
    for key in ("one", "one", "two", "two"):
        body = {"prompt": PROMPT, "max_tokens": 2}
        response = keyed.client.post("/generate", json=body, headers=KEYS[key])
        cached.append(response.json()["usage"]["cached_tokens"] > 0)
    assert cached == [False, True, False, True]


def test_replicas_with_one_key_share_states(keyed: RunningService, models: Path) -> None:
    """A state token resumes on another process with the same state key, and not without it."""
    body = {"prompt": PROMPT, "max_tokens": 5, "return_state": True}
    answer = keyed.client.post("/generate", json=body, headers=KEYS["one"]).json()
    resume = {"model": "words", "state": answer["state"], "max_tokens": 5}
    with RunningService(models, UNROLL_STATE_KEY=STATE_KEY) as replica:
        assert replica.ask("/generate", **resume)["seed"] == answer["seed"]
    with RunningService(models) as stranger:
        assert stranger.post("/generate", resume).status_code == 400
        assert "UNROLL_STATE_KEY is not set" in stranger.output
    assert "UNROLL_STATE_KEY" not in keyed.output
    assert STATE_KEY not in keyed.output


def test_a_state_can_be_bound_to_the_key_it_was_given_out_for(models: Path) -> None:
    """With the option a state token is valid with its own API key alone; without it, with any
    key.
    """
    body = {"model": "words", "prompt": PROMPT, "max_tokens": 5, "return_state": True}
    environment = {"UNROLL_API_KEYS": "one,two", "UNROLL_STATE_KEY": STATE_KEY}
    for bound, status in (("true", 400), ("false", 200)):
        bind = {"UNROLL_BIND_STATES_TO_KEYS": bound}
        with RunningService(models, **environment, **bind) as service:
            given = service.client.post("/generate", json=body, headers=KEYS["one"]).json()
        resume = {"model": "words", "state": given["state"], "max_tokens": 5}
        with RunningService(models, **environment, **bind) as replica:
            own, other = (
                replica.client.post("/generate", json=resume, headers=KEYS[key]) for key in KEYS
            )
        assert own.status_code == 200
        assert other.status_code == status


@pytest.mark.parametrize("key", ["k", "x" * 31, "x" * 64, "password" * 8, "0123456" * 10])
def test_a_key_that_can_be_guessed_is_refused_at_the_start(models: Path, key: str) -> None:
    """A short or repetitive key is refused with the command that makes a good one."""
    ended = run_to_end("--models", str(models), UNROLL_STATE_KEY=key)
    assert ended.returncode == 2
    assert "UNROLL_STATE_KEY" in ended.stderr
    assert "openssl rand -hex 32" in ended.stderr
    assert key not in ended.stderr.replace("UNROLL_STATE_KEY", "") or key == "k"
