"""Errors below /v1, and the list of models."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tests.integration.openai_protocol.conftest import openai_client
from tests.support.service.process import RunningService


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The error, in exactly the shape of the protocol."""
    error: dict[str, Any] = response.json()["error"]
    assert set(response.json()) == {"error"}
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "x"}, "suffix"),
        ({"best_of": 1, "n": 2}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [True]}, "prompt"),
        ({"prompt": [10**6]}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"prompt": ["a"] * 65}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"logprobs": 21}, "logprobs"),
        ({"temperature": "warm"}, "temperature"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"other": 1}}, "stream_options.other"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"seed": 2**63}, "seed"),
        ({"min_tokens": 3}, "min_tokens"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"logit_bias": {"dog": 1}}, "logit_bias"),
        ({"logit_bias": {"01": 1}}, "logit_bias"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"logit_bias": {"1": True}}, "logit_bias"),
        ({"logit_bias": {"999999": 1}}, "logit_bias"),
        ({"logit_bias": [1]}, "logit_bias"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"model": "sentiment"}, "model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_field_is_named(
    service: RunningService, fields: dict[str, Any], param: str
) -> None:
    """Invalid fields are 400 with the name of the field."""
    import json

    body = json.dumps({"model": "words", "prompt": "The", **fields})
    response = service.client.post(
        "/v1/completions", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400, response.text
    error = error_of(response)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


def test_the_client_raises_its_own_errors(client: openai.OpenAI) -> None:
    """OpenAI's client maps the statuses to its exceptions, with param and code."""
    with pytest.raises(openai.BadRequestError) as bad:
        client.completions.create(model="words", prompt="The", suffix="x")
    assert bad.value.param == "suffix"
    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="none", prompt="The")
    assert missing.value.code == "model_not_found"


def test_every_layer_answers_in_the_shape(service: RunningService) -> None:
    """Errors of routing, of the body and of the media type have the shape too."""
    get, post = service.client.get, service.client.post
    assert error_of(get("/v1/none"))["code"] == "not_found"
    assert get("/v1/none").status_code == 404
    assert error_of(get("/v1/models/none"))["param"] == "model"
    assert error_of(get("/v1/completions"))["code"] == "method_not_allowed"
    assert get("/v1/completions").headers["allow"] == "POST"
    assert post("/v1/completions", content=b"{}").status_code == 415
    json = {"Content-Type": "application/json"}
    assert error_of(post("/v1/completions", content=b"{", headers=json))["param"] is None
    assert post("/v1/completions", content=b"{", headers=json).status_code == 400
    head = service.client.head("/v1/models/none")
    assert head.status_code == 404
    assert head.content == b""


def test_other_routes_keep_their_shape(service: RunningService) -> None:
    """Errors outside /v1 have no code."""
    error = service.post("/generate", {"unheard_of": 1}).json()["error"]
    assert set(error) == {"type", "message", "param"}


def test_keys(models: Any) -> None:
    """Without a valid key, /v1 answers 401 in the shape; OpenAI's client sends its key as
    expected.
    """
    key = "a-key-of-many-characters"
    with RunningService(models, UNROLL_API_KEYS=key) as running:
        response = running.client.get("/v1/models")
        assert response.status_code == 401
        assert error_of(response)["code"] == "invalid_api_key"
        assert response.headers["www-authenticate"] == "Bearer"
        with openai_client(running, key) as right:
            assert len(right.models.list().data) == 7
        with (
            openai_client(running, "another") as wrong,
            pytest.raises(openai.AuthenticationError),
        ):
            wrong.models.list()


def test_a_full_queue_is_429_with_a_time(narrow_service: RunningService) -> None:
    """A request that finds no place is refused with Retry-After."""
    body = {"model": "words", "prompt": "The", "max_tokens": 100_000, "stream": True}
    path = "/v1/completions"
    with (
        narrow_service.client.stream("POST", path, json=body) as running,
        narrow_service.client.stream("POST", path, json=body),
    ):
        assert running.status_code == 200
        response = narrow_service.client.post(path, json=body)
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert error_of(response)["type"] == "rate_limit_error"


def test_models(service: RunningService, client: openai.OpenAI) -> None:
    """The models are listed and described as the protocol has it."""
    listed = service.client.get("/v1/models").json()
    assert listed["object"] == "list"
    names = [model["id"] for model in listed["data"]]
    assert names == [model["name"] for model in service.client.get("/models").json()["models"]]
    one = client.models.retrieve("words")
    assert (one.id, one.object, one.owned_by) == ("words", "model", "unroll")
    assert client.models.list().data[names.index("words")] == one
