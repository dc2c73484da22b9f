"""POST /generate without streaming."""

from __future__ import annotations

import pytest

from tests.support.service.process import RunningService, error_of


def test_answers_with_choices_usage_and_seed(service: RunningService) -> None:
    """A plain request has every field of the interface and no other."""
    # no other test leaves a state after this first word
    answer = service.ask("/generate", prompt="cabinet keys", max_tokens=5)
    assert set(answer) == {"model", "choices", "usage", "seed"}
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert choice["finish_reason"] == "length"
    assert set(choice) == {"index", "text", "finish_reason"}
    assert answer["usage"] == {"prompt_tokens": 2, "cached_tokens": 0, "completion_tokens": 5}
    assert answer["model"] == "words"


def test_seed_repeats_and_other_seeds_differ(service: RunningService) -> None:
    """The same request and seed give the same text, also with the seed of an earlier response."""
    first = service.ask("/generate", prompt="A dog", max_tokens=20)
    again = service.ask("/generate", prompt="A dog", max_tokens=20, seed=first["seed"])
    assert again["choices"] == first["choices"]
    others = {service.text(prompt="A dog", max_tokens=20, seed=seed) for seed in range(5)}
    assert len(others) == 5


def test_drawn_seeds_differ(service: RunningService) -> None:
    """Two requests without a seed get different ones."""
    seeds = {service.ask("/generate", max_tokens=1)["seed"] for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_largest_seed_is_taken(service: RunningService) -> None:
    """The bound of the seed is allowed."""
    assert service.ask("/generate", max_tokens=1, seed=2**63 - 1)["seed"] == 2**63 - 1


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_greedy_is_one_text(service: RunningService, model: str) -> None:
    """With temperature 0, or almost 0, the seed has no effect."""
    texts = {
        service.text(model=model, prompt="The", max_tokens=12, temperature=temperature, seed=seed)
        for temperature, seed in [(0, 1), (0, 2), (0.0, 3), (1e-300, 4)]
    }
    assert len(texts) == 1
    assert texts != {""}


def test_top_k_one_is_greedy(service: RunningService) -> None:
    """top_k 1 is greedy."""
    greedy = service.text(prompt="The", max_tokens=12, temperature=0)
    assert service.text(prompt="The", max_tokens=12, top_k=1, seed=9) == greedy
    assert service.text(prompt="The", max_tokens=12, top_p=1e-9, seed=9) == greedy
    assert service.text(prompt="The", max_tokens=12, min_p=1, seed=9) == greedy


def test_choices_are_numbered_and_independent_of_n(service: RunningService) -> None:
    """The n choices differ, and a choice is the same for any n."""
    two = service.ask("/generate", prompt="The", max_tokens=12, n=2, seed=1)
    four = service.ask("/generate", prompt="The", max_tokens=12, n=4, seed=1)
    assert [choice["index"] for choice in four["choices"]] == [0, 1, 2, 3]
    assert four["choices"][:2] == two["choices"]
    assert len({choice["text"] for choice in four["choices"]}) == 4
    assert four["usage"] == {"prompt_tokens": 1, "cached_tokens": 0, "completion_tokens": 48}


def test_stop_string_ends_the_text_before_it(service: RunningService) -> None:
    """The text before the stop string is unchanged, and the stop string is not part of it."""
    whole = service.text(prompt="The", max_tokens=30, seed=5)
    words = whole.split()
    stop = words[7]
    answer = service.ask("/generate", prompt="The", max_tokens=30, seed=5, stop=[stop, "@"])
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["text"] == whole[: whole.index(stop)]


def test_end_is_a_finish_reason(service: RunningService) -> None:
    """A model that generates [END] stops there, and [END] is neither text nor counted."""
    answer = service.ask("/generate", model="brief", max_tokens=2000, seed=1)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "end"
    assert "[END]" not in choice["text"]
    assert answer["usage"]["completion_tokens"] < 2000


def test_deadline_keeps_what_there_is(narrow_service: RunningService) -> None:
    """A deadline ends the text with the tokens generated until then."""
    answer = narrow_service.ask("/generate", max_tokens=1_000_000, deadline_ms=300)
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "deadline"
    assert 0 < answer["usage"]["completion_tokens"] < 1_000_000
    assert choice["text"]


def test_logprobs_report_tokens_and_alternatives(service: RunningService) -> None:
    """With logprobs, tokens join to the text, and the greedy token is the best alternative."""
    answer = service.ask("/generate", prompt="The", max_tokens=6, temperature=0, logprobs=3)
    (choice,) = answer["choices"]
    assert "".join(token["text"] for token in choice["tokens"]) == choice["text"]
    for token in choice["tokens"]:
        assert len(token["top"]) == 3
        assert token["top"][0] == {"text": token["text"], "logprob": token["logprob"]}
        ranked = [other["logprob"] for other in token["top"]]
        assert ranked == sorted(ranked, reverse=True)
        assert ranked[0] <= 0


def test_logprobs_zero_lists_tokens_alone(service: RunningService) -> None:
    """With logprobs 0 a client gets the tokens without alternatives."""
    (choice,) = service.ask("/generate", max_tokens=3, logprobs=0)["choices"]
    assert [set(token) for token in choice["tokens"]] == [{"text", "logprob"}] * 3


def test_echo_comes_first(service: RunningService) -> None:
    """With echo, every choice begins with the prompt, with its tokens if they are asked for."""
    plain = service.ask("/generate", prompt="The keys", max_tokens=4, n=2, seed=3)
    echoed = service.ask("/generate", prompt="The keys", max_tokens=4, n=2, seed=3, echo=True)
    for before, after in zip(plain["choices"], echoed["choices"], strict=True):
        assert after["text"] == "The keys" + before["text"]
    answer = service.ask("/generate", prompt="The keys", max_tokens=0, echo=True, logprobs=0)
    assert answer["usage"]["completion_tokens"] == 0
    (choice,) = answer["choices"]
    assert choice["text"] == "The keys"
    scored = service.ask("/score", texts=["The keys"])["results"][0]["tokens"]
    assert [token["text"] for token in choice["tokens"]] == [token["text"] for token in scored]
    for token, expected in zip(choice["tokens"], scored, strict=True):
        assert token["logprob"] == pytest.approx(expected["logprob"], abs=1e-4)


def test_empty_prompt_begins_at_the_beginning(service: RunningService) -> None:
    """The prompt may be empty or left out."""
    assert service.text(max_tokens=5, seed=1) == service.text(prompt="", max_tokens=5, seed=1)


def test_unknown_word_is_never_drawn(service: RunningService) -> None:
    """[UNK] is read in a prompt and never generated."""
    text = service.text(prompt="Zyzzyva", max_tokens=100, temperature=5, seed=1)
    assert "[UNK]" not in text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_tokens", 8193),
        ("max_tokens", 10**30),
        ("max_tokens", 5.5),
        ("max_tokens", "5"),
        ("max_tokens", True),
        ("temperature", -0.1),
        ("temperature", "hot"),
        ("temperature", 10**400),
        ("top_k", -1),
        ("top_p", 0),
        ("top_p", 1.01),
        ("min_p", -0.01),
        ("repetition_penalty", 0),
        ("stop", ""),
        ("stop", 5),
        ("stop", ["a", None]),
        ("stop", [""]),
        ("stop", ["a"] * 17),
        ("stop", ["x" * 101]),
        ("stop", ["\0"]),
        ("seed", -1),
        ("seed", 2**63),
        ("n", 0),
        ("n", 17),
        ("logprobs", 21),
        ("logprobs", True),
        ("echo", 1),
        ("stream", "yes"),
        ("deadline_ms", 0),
        ("deadline_ms", 600_001),
        ("prompt", 5),
        ("prompt", ["a"]),
        ("prompt", "nul \0 inside"),
        ("model", ""),
        ("state", ""),
        ("state", 5),
        ("return_state", "yes"),
    ],
)
def test_refuses_fields_out_of_bounds(service: RunningService, field: str, value: object) -> None:
    """Each bad field is a 422 that names it, streamed or not."""
    for stream in (False, True) if field != "stream" else (False,):
        body = {"prompt": "The", "stream": stream, field: value}
        response = service.post("/generate", body)
        assert response.status_code == 422, response.text
        error = error_of(response)
        assert error["type"] == "invalid_request"
        assert (error["param"] or "").partition(".")[0] in {field, ""}
        assert field in error["message"]


def test_refuses_a_model_that_is_not_there(service: RunningService) -> None:
    """An unknown model is a 404 about the field `model`."""
    response = service.post("/generate", {"prompt": "The", "model": "nobody"})
    assert response.status_code == 404
    assert error_of(response)["type"] == "model_not_found"
    assert error_of(response)["param"] == "model"


def test_refuses_a_classifier(service: RunningService) -> None:
    """A classifier cannot continue a text: 409, streamed or not."""
    for stream in (False, True):
        body = {"prompt": "The", "model": "sentiment", "stream": stream}
        response = service.post("/generate", body)
        assert response.status_code == 409
        assert error_of(response)["type"] == "wrong_kind"


@pytest.mark.parametrize(
    "fields", [{"stop": "x" * 101}, {"stop": ["x" * 101]}, {"model": "m" * 201}]
)
def test_a_text_that_is_too_long_is_reported_in_characters(
    service: RunningService, fields: dict[str, object]
) -> None:
    """The message counts characters, not items."""
    response = service.post("/generate", {**fields, "max_tokens": 1})
    assert response.status_code == 422
    assert "characters" in error_of(response)["message"]
