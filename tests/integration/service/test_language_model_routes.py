"""POST /next-word and /score."""

from __future__ import annotations

import json
import math

import pytest

from tests.support.service.process import RunningService, error_of
from tests.support.service.small_artifacts import TEXT


def test_next_words_of_a_word_model_are_exact(service: RunningService) -> None:
    """The probabilities of a word model are those that it samples with."""
    answer = service.ask("/next-word", prompt="The keys", top=3)
    (choice,) = service.ask("/generate", prompt="The keys", max_tokens=1, logprobs=20)["choices"]
    logprobs = {top["text"].strip(): top["logprob"] for top in choice["tokens"][0]["top"]}
    assert len(answer["words"]) == 3
    for word in answer["words"]:
        assert word["probability"] == pytest.approx(math.exp(logprobs[word["word"]]), rel=1e-3)
    assert sum(word["probability"] for word in answer["words"]) <= answer["covered"] <= 1 + 1e-6
    assert answer["entropy_bits"] >= 0
    assert answer["model"] == "words"
    assert all(word.keys() == {"word", "probability"} for word in answer["words"])


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_next_words_are_ranked(service: RunningService, model: str) -> None:
    """Every kind of model lists whole words, likeliest first, within the mass it covers."""
    answer = service.ask("/next-word", model=model, prompt="The keys to the", top=5)
    probabilities = [word["probability"] for word in answer["words"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= answer["covered"] + 1e-6
    assert answer["covered"] <= 1 + 1e-6
    assert all(word["word"] for word in answer["words"])


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_half_typed_words_are_completed(service: RunningService, model: str) -> None:
    """Every kind of model gives whole words that begin as typed, and their missing parts."""
    answer = service.ask("/next-word", model=model, prompt="The keys to the cab", top=5)
    assert answer["words"]
    for word in answer["words"]:
        assert "cab" + word["completion"] == word["word"]


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_the_end_is_given_on_request(service: RunningService, model: str) -> None:
    """`end` is a probability beside those of the words; without the option there is no field."""
    answer = service.ask("/next-word", model=model, prompt="The keys", end=True)
    assert 0.0 < answer["end"] < 1.0
    assert "end" not in service.ask("/next-word", model=model, prompt="The keys")


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_scores_agree_with_themselves(service: RunningService, model: str) -> None:
    """Sum, perplexity and bits per byte follow from the tokens, whose texts join to the text."""
    texts = ["The keys to the old cabinet", TEXT, "Naïve Zyzzyva 🙂"]
    answer = service.ask("/score", model=model, texts=texts)
    assert len(answer["results"]) == 3
    for text, result in zip(texts, answer["results"], strict=True):
        logprobs = [token["logprob"] for token in result["tokens"]]
        assert "".join(token["text"] for token in result["tokens"]) == text
        assert all(logprob <= 0 for logprob in logprobs)
        assert result["logprob"] == pytest.approx(sum(logprobs), rel=1e-5)
        assert result["perplexity"] == pytest.approx(
            math.exp(-result["logprob"] / len(logprobs)), rel=1e-5
        )
        bits = -result["logprob"] / math.log(2)
        assert result["bits_per_byte"] == pytest.approx(bits / len(text.encode()), rel=1e-5)


def test_scores_mark_unknown_words(service: RunningService) -> None:
    """The tokens and the result say so, and neither does where all words are known."""
    texts = ["The keys to the zyzzyva", "The keys"]
    unknown, known = service.ask("/score", model="words", texts=texts)["results"]
    assert [t["text"] for t in unknown["tokens"] if t.get("unknown")] == [" zyzzyva"]
    assert unknown["unknown_tokens"] == 1
    assert "1 word is outside the vocabulary" in unknown["note"]
    assert "note" not in known
    assert not any("unknown" in token for token in known["tokens"])


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_the_end_of_a_text_is_scored_on_request(service: RunningService, model: str) -> None:
    """`end_logprob` is that of /next-word; log-probability and perplexity include it."""
    text = "The keys"
    (plain,) = service.ask("/score", model=model, texts=[text])["results"]
    (ended,) = service.ask("/score", model=model, texts=[text], end=True)["results"]
    assert "end_logprob" not in plain
    assert ended["tokens"] == plain["tokens"]
    total = plain["logprob"] + ended["end_logprob"]
    assert ended["logprob"] == pytest.approx(total, rel=1e-5)
    predictions = len(plain["tokens"]) + 1
    assert ended["perplexity"] == pytest.approx(math.exp(-total / predictions), rel=1e-4)
    probability = service.ask("/next-word", model=model, prompt=text, end=True)["end"]
    assert math.exp(ended["end_logprob"]) == pytest.approx(probability, rel=1e-3)


def test_generation_reports_the_end_on_request(service: RunningService) -> None:
    """Every generated token has the log-probability of the end in its place, in streams too."""
    body = {"prompt": "The keys", "max_tokens": 5, "seed": 3, "logprobs": 0, "end": True}
    (choice,) = service.ask("/generate", **body)["choices"]
    (scored,) = service.ask("/score", texts=["The keys"], end=True)["results"]
    assert choice["tokens"][0]["end_logprob"] == pytest.approx(scored["end_logprob"], abs=1e-3)
    assert all(token["end_logprob"] < 0 for token in choice["tokens"])
    streamed = service.client.post("/generate", json={**body, "stream": True}).text
    events = [json.loads(line[6:]) for line in streamed.split("\n") if line.startswith("data: ")]
    ends = [event["end_logprob"] for event in events if "token" in event]
    assert ends == [token["end_logprob"] for token in choice["tokens"]]
    refused = service.post("/generate", {**body, "logprobs": None})
    assert refused.status_code == 422
    assert "set logprobs" in refused.text


def test_score_agrees_with_generation(service: RunningService) -> None:
    """The log-probabilities of a text that was generated are those reported while generating."""
    (choice,) = service.ask("/generate", max_tokens=8, seed=1, logprobs=0)["choices"]
    (result,) = service.ask("/score", texts=[choice["text"]])["results"]
    for scored, drawn in zip(result["tokens"], choice["tokens"], strict=True):
        assert scored["text"] == drawn["text"]
        assert scored["logprob"] == pytest.approx(drawn["logprob"], abs=1e-4)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/next-word", {}, "prompt"),
        ("/next-word", {"prompt": "a", "top": 0}, "top"),
        ("/next-word", {"prompt": "a", "top": 101}, "top"),
        ("/next-word", {"prompt": "\0"}, "prompt"),
        ("/next-word", {"prompt": "a", "n": 2}, "n"),
        ("/next-word", {"prompt": "a", "end": 2}, "end"),
        ("/score", {}, "texts"),
        ("/score", {"texts": []}, "texts"),
        ("/score", {"texts": [""]}, "texts.0"),
        ("/score", {"texts": ["a", 5]}, "texts.1"),
        ("/score", {"texts": "abc"}, "texts"),
        ("/score", {"texts": ["a"] * 65}, "texts"),
        ("/score", {"texts": ["a"], "deadline_ms": 10**6}, "deadline_ms"),
    ],
)
def test_refusals_name_the_field(
    service: RunningService, path: str, body: dict[str, object], param: str
) -> None:
    """Each bad request is a 422 that names the field."""
    response = service.post(path, body)
    assert response.status_code == 422, response.text
    assert error_of(response)["param"] == param


@pytest.mark.parametrize(
    ("path", "body"), [("/next-word", {"prompt": "a"}), ("/score", {"texts": ["a"]})]
)
def test_classifiers_and_strangers_are_refused(
    service: RunningService, path: str, body: dict[str, object]
) -> None:
    """409 for a model of the wrong kind, 404 for an unknown one."""
    assert service.post(path, {**body, "model": "sentiment"}).status_code == 409
    assert service.post(path, {**body, "model": "nobody"}).status_code == 404
