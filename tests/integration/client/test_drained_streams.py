"""Streams of the client whose replica drains, is killed, or has no successor."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.service.process import PATIENCE, RunningService
from unroll_client import (
    AsyncClient,
    Client,
    ConnectionFailedError,
    GenerateOptions,
    RetryPolicy,
    StreamInterruptedError,
)

pytestmark = pytest.mark.slow

STATE_KEY = "0badc0de5f0c3d9a" * 4
MANY = ("--burst-steps", "1", "--max-tokens", "1000000", "--max-rows", "64")
DRAINING = (*MANY, "--drain-seconds", "0")
TOKENS = 4_000  # more than a replica generates before it drains
PROMPT = "The keys to the old cabinet"
# The service holds text back in the second and third kind.
KINDS: tuple[GenerateOptions, ...] = (
    {"model": "words", "seed": 1},
    {"model": "words", "stop": ["the old cabinet zz", "e zz"], "logprobs": 1, "seed": 2},
    {"model": "bpe", "temperature": 0.7, "seed": 3, "echo": True},
    {"model": "chars", "n": 3, "top_k": 5, "seed": 4},
)


@pytest.fixture(scope="module")
def other(models: Path) -> Iterator[RunningService]:
    """The replica that goes on."""
    with RunningService(models, *MANY, UNROLL_STATE_KEY=STATE_KEY) as running:
        yield running


def url_of(service: RunningService) -> str:
    """The base URL of a service."""
    return f"http://127.0.0.1:{service.port}"


def options_of(kind: int) -> GenerateOptions:
    """The options of a stream of this kind."""
    return {**KINDS[kind], "max_tokens": TOKENS}


def test_streams_go_on_when_their_replica_drains(models: Path, other: RunningService) -> None:
    """A stream whose replica is ended in the middle has the text, the tokens and the usage of one
    that was not: nothing is lost or doubled.
    """
    begun = threading.Barrier(len(KINDS) + 1, timeout=PATIENCE)

    def follow(client: Client, kind: int) -> dict[str, Any]:
        with client.stream(PROMPT, **options_of(kind)) as stream:
            parts = iter(stream)
            first = next(parts)
            begun.wait()
            texts = dict.fromkeys(range(options_of(kind).get("n") or 1), "")
            for part in (first, *parts):
                texts[part.index] += part.text
        return {"texts": texts, "answer": stream.result(), "resumed": stream.resumptions}

    with (
        RunningService(models, *DRAINING, UNROLL_STATE_KEY=STATE_KEY) as dying,
        Client([url_of(dying), url_of(other)]) as client,
        ThreadPoolExecutor(len(KINDS)) as pool,
    ):
        streams = [pool.submit(follow, client, kind) for kind in range(len(KINDS))]
        begun.wait()
        dying.signal(signal.SIGTERM)
        assert dying.wait() == 0
        followed = [stream.result(timeout=PATIENCE) for stream in streams]
    assert any(seen["resumed"] for seen in followed)
    with Client(url_of(other)) as client:
        for kind, seen in enumerate(followed):
            whole = client.generate(PROMPT, **options_of(kind))
            answer = seen["answer"]
            assert answer.choices == whole.choices
            assert list(seen["texts"].values()) == [choice.text for choice in whole.choices]
            assert answer.seed == whole.seed
            assert answer.usage.completion_tokens == whole.usage.completion_tokens


def test_a_stream_of_asyncio_goes_on_when_its_replica_drains(
    models: Path, other: RunningService
) -> None:
    """The client of asyncio joins the same text, with a seed that the first replica chose."""

    async def follow() -> tuple[str, int]:
        async with AsyncClient([url_of(dying), url_of(other)]) as client:
            text = ""
            async with client.stream(PROMPT, model="words", max_tokens=TOKENS) as stream:
                async for part in stream:
                    if not text:
                        dying.signal(signal.SIGTERM)
                    text += part.text
            return text, (await stream.result()).seed

    with RunningService(models, *DRAINING, UNROLL_STATE_KEY=STATE_KEY) as dying:
        text, seed = asyncio.run(follow())
        assert dying.wait() == 0
    with Client(url_of(other)) as client:
        whole = client.generate(PROMPT, model="words", max_tokens=TOKENS, seed=seed)
    assert text == whole.text


def test_the_same_address_goes_on_after_a_restart(models: Path) -> None:
    """With one address the client waits for the process that takes the place of the drained one."""
    options: GenerateOptions = {"model": "words", "seed": 9, "max_tokens": TOKENS}
    with RunningService(models, *DRAINING, UNROLL_STATE_KEY=STATE_KEY) as first:
        port = first.port
        policy = RetryPolicy(attempts=100, first_wait=0.05, longest_wait=0.2)
        with (
            Client(url_of(first), retries=policy) as client,
            client.stream(PROMPT, **options) as stream,
        ):
            next(iter(stream))
            first.signal(signal.SIGTERM)
            first.wait()
            more = (*MANY, "--port", str(port))
            with RunningService(models, *more, UNROLL_STATE_KEY=STATE_KEY) as second:
                text = stream.result().text
                with Client(url_of(second)) as again:
                    assert text == again.generate(PROMPT, **options).text


def test_a_killed_replica_interrupts_the_stream(models: Path, other: RunningService) -> None:
    """A stream whose process is killed raises an error that has the text so far."""
    with (
        RunningService(models, *MANY) as dying,
        Client([url_of(dying), url_of(other)]) as client,
        client.stream(PROMPT, model="words", max_tokens=1_000_000) as stream,
    ):
        parts = iter(stream)
        text = next(parts).text
        dying.process.kill()
        with pytest.raises(StreamInterruptedError) as caught:  # noqa: PT012  # keeps its text
            for part in parts:
                text += part.text
    assert caught.value.texts == {0: text}


def test_requests_go_to_the_replica_that_answers(other: RunningService) -> None:
    """A replica that cannot be reached is left at once, and one address alone is an error."""
    nobody = "http://127.0.0.1:9"
    with Client([nobody, url_of(other)]) as client:
        assert client.generate(PROMPT, max_tokens=2, model="words").usage.completion_tokens == 2
    with (
        Client(nobody, retries=RetryPolicy(attempts=2, first_wait=0)) as client,
        pytest.raises(ConnectionFailedError, match=r"127\.0\.0\.1:9"),
    ):
        client.models()
