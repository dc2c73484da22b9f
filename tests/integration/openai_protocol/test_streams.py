"""Streams of /v1/completions: chunks, usage, [DONE]."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.integration.openai_protocol.conftest import openai_client
from tests.support.service.process import PATIENCE, RunningService


def lines(service: RunningService, **fields: Any) -> list[str]:
    """The data of each event."""
    body = {"model": "words", "prompt": "The", "seed": 1, "stream": True, **fields}
    with service.client.stream("POST", "/v1/completions", json=body) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        return [line.removeprefix("data: ") for line in response.iter_lines() if line]


def chunks(service: RunningService, **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, which must end in [DONE]."""
    *data, done = lines(service, **fields)
    assert done == "[DONE]"
    return [json.loads(line) for line in data]


@pytest.mark.parametrize("model", ["words", "chars", "bpe", "brief"])
@pytest.mark.parametrize("echo", [False, True])
def test_chunks_join_to_the_response(service: RunningService, model: str, echo: bool) -> None:
    """Texts and log-probabilities of the chunks join to those of the whole response."""
    fields: dict[str, Any] = {
        "model": model,
        "prompt": "The é keys",
        "n": 2,
        "logprobs": 2,
        "max_tokens": 9,
        "echo": echo,
        "seed": 4,
    }
    whole = service.ask("/v1/completions", **fields)
    streamed = chunks(service, **fields)
    for expected in whole["choices"]:
        own = [chunk["choices"][0] for chunk in streamed]
        own = [choice for choice in own if choice["index"] == expected["index"]]
        assert "".join(choice["text"] for choice in own) == expected["text"]
        assert [choice["finish_reason"] for choice in own[:-1]] == [None] * (len(own) - 1)
        assert own[-1]["finish_reason"] == expected["finish_reason"]
        for name, values in expected["logprobs"].items():
            parts = [choice["logprobs"][name] for choice in own if choice["logprobs"]]
            assert [value for part in parts for value in part] == values, name


def test_every_chunk_has_the_fields_of_the_protocol(service: RunningService) -> None:
    """Chunks share id, time and model; usage is absent unless it is asked for."""
    streamed = chunks(service, max_tokens=5)
    assert len({chunk["id"] for chunk in streamed}) == 1
    for chunk in streamed:
        assert set(chunk) == {
            *("id", "object", "created", "model", "system_fingerprint", "choices")
        }
        assert chunk["object"] == "text_completion"
        assert set(chunk["choices"][0]) == {"index", "text", "logprobs", "finish_reason"}


def test_usage_comes_in_a_last_chunk(service: RunningService) -> None:
    """With include_usage, every chunk has usage null, and a last one without choices has it."""
    fields: dict[str, Any] = {"prompt": ["The keys", "A dog"], "n": 2, "max_tokens": 3}
    *most, last = chunks(service, stream_options={"include_usage": True}, **fields)
    assert all(chunk["usage"] is None for chunk in most)
    assert last["choices"] == []
    whole = service.ask("/v1/completions", model="words", seed=1, **fields)["usage"]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert last["usage"][name] == whole[name]


def test_usage_is_continuous_on_request(service: RunningService) -> None:
    """With continuous_usage_stats, usage grows to that of the whole request."""
    options = {"include_usage": True, "continuous_usage_stats": True}
    streamed = chunks(service, stream_options=options, max_tokens=4)
    counts = [chunk["usage"]["completion_tokens"] for chunk in streamed]
    assert counts == [1, 2, 3, 4, 4, 4]
    assert {chunk["usage"]["prompt_tokens"] for chunk in streamed} == {1}


def test_done_follows_an_error(models: Any) -> None:
    """A stream that the service ends has an event with the error, then [DONE]; OpenAI's client
    raises it.
    """
    with RunningService(models, "--drain-seconds", "0.2", "--max-tokens", "10000000") as running:
        body = {"model": "words", "prompt": "The", "max_tokens": 10_000_000, "stream": True}
        with (
            openai_client(running) as client,
            running.client.stream("POST", "/v1/completions", json=body) as raw,
        ):
            received = raw.iter_lines()
            next(received)
            stream = client.completions.create(
                model="words", prompt="The", max_tokens=10_000_000, stream=True
            )
            next(iter(stream))
            running.process.terminate()
            *_, error, done = [line for line in received if line]
            with pytest.raises(openai.APIError, match="shutting down"):
                list(stream)
        assert done == "data: [DONE]"
        detail = json.loads(error.removeprefix("data: "))["error"]
        assert set(detail) == {"message", "type", "param", "code"}
        assert detail["code"] == "draining"


async def read_async(service: RunningService) -> str:
    """The text of a stream, by the asynchronous client."""
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{service.port}/v1",
        api_key="unused",
        timeout=PATIENCE,
    ) as client:
        stream = await client.completions.create(
            model="words", prompt="The", seed=1, max_tokens=6, stream=True
        )
        return "".join([chunk.choices[0].text async for chunk in stream])


def test_the_clients_stream(service: RunningService, client: openai.OpenAI) -> None:
    """OpenAI's clients, synchronous and asynchronous, read a stream to its end."""
    import asyncio

    expected = service.text(model="words", prompt="The", seed=1, max_tokens=6)
    stream = client.completions.create(
        model="words", prompt="The", seed=1, max_tokens=6, stream=True
    )
    assert "".join(chunk.choices[0].text for chunk in stream) == expected
    assert asyncio.run(read_async(service)) == expected
