"""Scores through /v1/completions are those of training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.artifact import load_artifact
from model.networks import LanguageModel
from tests.support.service.process import RunningService
from training.evaluation.sentence_scores import Continuation, score_continuations

SENTENCES = (
    "The keys to the old cabinet are on the table .",
    "A dog near the cats runs home",
    "small birds sing about rivers and far green hills .\nWhen",
)


@pytest.fixture(scope="module", params=["0", "67108864"], ids=["cache off", "cache on"])
def exact_service(models: Path, request: pytest.FixtureRequest) -> Iterator[RunningService]:
    """A service in float32, with and without a prefix cache."""
    options = ("--precision", "float32", "--state-cache-bytes", request.param)
    with RunningService(models, *options) as running:
        yield running


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_scores_of_ids_are_those_of_training(
    exact_service: RunningService, models: Path, model: str
) -> None:
    """As lm-evaluation-harness asks: [END] and the ids of a sentence, echo, one token. The sum is
    the log-probability that `training agreement` computes, before and after a first request.
    """
    artifact = load_artifact(models / model)
    network, end = artifact.network, artifact.tokenizer.end
    assert isinstance(network, LanguageModel)
    ids = [artifact.tokenizer.encode(sentence) for sentence in SENTENCES]
    expected = score_continuations(network, [Continuation(one, 0) for one in ids], end)
    fields = {"model": model, "temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234}
    for _ in range(2):
        answer = exact_service.ask(
            "/v1/completions", prompt=[[end, *one] for one in ids], echo=True, **fields
        )
        for choice, one, score in zip(answer["choices"], ids, expected, strict=True):
            values = choice["logprobs"]["token_logprobs"]
            assert len(values) == len(one) + 2
            assert values[0] is None
            assert sum(values[1:-1]) == pytest.approx(score, abs=1e-3)
