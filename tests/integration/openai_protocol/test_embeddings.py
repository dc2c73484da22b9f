"""POST /v1/embeddings and /embed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
import torch

from model.artifact import load_artifact
from model.networks import Classifier, LanguageModel
from tests.support.service.process import RunningService, error_of

TEXTS = ["The keys to the cabinet", "A dog near the cats runs home", "birds"]
MODELS = {"sentiment": 96, "stories": 48, "words": 24, "bpe": 24}


def expected(models: Path, model: str, text: str) -> np.ndarray:
    """The vector that torch computes in float32."""
    artifact = load_artifact(models / model)
    network, tokenizer = artifact.network, artifact.tokenizer
    tokens = tokenizer.encode(text)
    with torch.no_grad():
        if isinstance(network, LanguageModel):
            tokens_T1 = torch.tensor([tokenizer.end, *tokens])[:, None]
            state = network.encode(tokens_T1, network.initial_state(1)).state
            return state.hidden_LBH[-1, 0].numpy()
        assert isinstance(network, Classifier)
        tokens_T1, lengths_1 = torch.tensor(tokens)[:, None], torch.tensor([len(tokens)])
        words_T1E = values = network.token_vectors(tokens_T1, lengths_1)
        for layer in range(network.architecture.layers):
            values = network._read(values, layer, lengths_1)
        return network.pooled_features(values, words_T1E, lengths_1)[0].numpy()


@pytest.mark.parametrize("model", MODELS)
def test_vectors_are_those_of_torch(service: RunningService, models: Path, model: str) -> None:
    """Vectors are the pooled hidden states, near those of float32, in the order of the texts, and
    those of single requests.
    """
    answer = service.ask("/embed", model=model, texts=TEXTS, normalize=False)
    assert answer["dimensions"] == MODELS[model]
    for text, result in zip(TEXTS, answer["results"], strict=True):
        vector = np.array(result["embedding"])
        reference = expected(models, model, text)
        assert vector.shape == reference.shape
        assert np.abs(vector - reference).max() < 0.08  # int8
        single = service.ask("/embed", model=model, text=text, normalize=False)["results"]
        assert single == [result]
        assert result["token_count"] == len(load_artifact(models / model).tokenizer.encode(text))
        assert result["truncated"] is False


@pytest.mark.parametrize("model", MODELS)
def test_vectors_are_normalized_unless_declined(service: RunningService, model: str) -> None:
    """A vector has length 1 and the direction of the raw one."""
    answers = [
        service.ask("/embed", model=model, text=TEXTS[0], **more)
        for more in ({}, {"normalize": False})
    ]
    plain, raw = (np.array(answer["results"][0]["embedding"]) for answer in answers)
    assert np.linalg.norm(plain) == pytest.approx(1.0, abs=1e-5)
    assert plain == pytest.approx(raw / np.linalg.norm(raw), abs=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_the_client_gets_the_same_vectors(
    service: RunningService, client: openai.OpenAI, model: str
) -> None:
    """OpenAI's client, which asks for base64, gets the vectors of /embed; so does float."""
    texts = service.ask("/embed", model=model, texts=TEXTS)["results"]
    response = client.embeddings.create(model=model, input=TEXTS)
    assert response.model == model
    assert response.usage.prompt_tokens == sum(text["token_count"] for text in texts)
    assert [data.index for data in response.data] == [0, 1, 2]
    floats = client.embeddings.create(
        model=model, input=TEXTS, encoding_format="float", dimensions=MODELS[model]
    )
    for text, data, number in zip(texts, response.data, floats.data, strict=True):
        assert data.embedding == pytest.approx(text["embedding"], abs=1e-7)
        assert number.embedding == text["embedding"]


def test_base64_is_float32(service: RunningService) -> None:
    """base64 holds float32 numbers, least significant byte first."""
    fields: dict[str, Any] = {"model": "words", "input": "The keys"}
    numbers, encoded = (
        service.ask("/v1/embeddings", encoding_format=encoding, **fields)["data"][0]["embedding"]
        for encoding in ("float", "base64")
    )
    assert np.frombuffer(base64.b64decode(encoded), dtype="<f4").tolist() == numbers


@pytest.mark.parametrize("model", ["sentiment", "words"])
def test_token_ids_are_embedded(service: RunningService, models: Path, model: str) -> None:
    """Ids are read as they are: with [END] first, a language model reads them as the text."""
    tokenizer = load_artifact(models / model).tokenizer
    start = [tokenizer.end] if model == "words" else []
    ids = [[*start, *tokenizer.encode(text)] for text in TEXTS]
    answers = [
        service.ask("/v1/embeddings", model=model, input=given) for given in (TEXTS, ids, ids[0])
    ]
    of_texts, of_ids, of_one = (
        [data["embedding"] for data in answer["data"]] for answer in answers
    )
    assert of_ids == of_texts
    assert of_one == of_texts[:1]


def test_classifications_run_beside_embeddings(service: RunningService) -> None:
    """Both tasks of one classifier at the same time give what each gives alone."""
    from concurrent.futures import ThreadPoolExecutor

    def results(path: str) -> object:
        return service.ask(path, model="topics", texts=TEXTS)["results"]

    paths = ["/embed", "/classify"] * 8
    alone = [results(path) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(results, paths)) == alone


def test_the_default_model_is_a_classifier(service: RunningService) -> None:
    """Without a model, the default classifier answers."""
    assert service.ask("/embed", text="birds")["model"] == "sentiment"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a"] * 65}, "input"),
        ({"input": [10**6]}, "input"),
        ({"input": [[1], [-1]]}, "input"),
        ({"input": "a", "dimensions": 7}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "unheard_of": 1}, "unheard_of"),
        ({}, "input"),
    ],
)
@pytest.mark.parametrize("model", ["sentiment", "words"])
def test_an_invalid_field_is_named(
    service: RunningService, model: str, fields: dict[str, Any], param: str
) -> None:
    """Errors of /v1/embeddings name the field."""
    response = service.post("/v1/embeddings", {"model": model, **fields})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [({}, None), ({"text": "a", "texts": ["a"]}, None), ({"texts": ["a"] * 65}, "texts")],
)
def test_embed_takes_one_text_or_several(
    service: RunningService, fields: dict[str, Any], param: str | None
) -> None:
    """Exactly one of text and texts is given, within the bounds."""
    response = service.post("/embed", fields)
    assert response.status_code == 422
    assert error_of(response)["param"] == param
