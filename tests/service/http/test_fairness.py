"""One client that asks for everything, and what others and itself still get, over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.http.process import PATIENCE, RunningService, error_of

STREAMS = 40
CHOICES = 16
STEPS = 8_192


@pytest.fixture(scope="module")
def besieged(models: Path) -> Iterator[RunningService]:
    """A service in which 40 streams of 16 choices of 8,192 tokens run for one client."""
    arguments = ("--default-language-model", "words", "--max-waiting", "1000")
    with RunningService(models, *arguments) as running, contextlib.ExitStack() as streams:
        for seed in range(STREAMS):
            fields = {"prompt": "The", "max_tokens": STEPS, "n": CHOICES, "seed": seed}
            events = streams.enter_context(running.streaming(**fields))
            next(events)
        yield running


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/generate", {"prompt": "The keys", "max_tokens": 1}),
        ("/next-word", {"prompt": "The keys"}),
        ("/score", {"texts": ["The keys"]}),
    ],
)
def test_a_short_request_does_not_wait_for_long_ones(
    besieged: RunningService, address: str, path: str, fields: dict[str, object]
) -> None:
    """It is answered after a few turns, of the greedy client's own address as of another: far less
    than a slice of what the streams still have to draw passes in the meantime.
    """
    before = besieged.metric("unroll_generated_tokens_total", model="words")
    transport = httpx.HTTPTransport(local_address=address)
    base = besieged.client.base_url
    with httpx.Client(base_url=base, transport=transport, timeout=PATIENCE) as client:
        assert client.post(path, json=fields).status_code == 200
    drawn = besieged.metric("unroll_generated_tokens_total", model="words") - before
    assert besieged.metric("unroll_sequences_running", model="words") == 64
    assert drawn < 64 * STEPS / 4


def test_the_greedy_client_is_refused_and_no_other(models: Path) -> None:
    """A client that fills its places gets 429 with a Retry-After; another one is answered."""
    arguments = ("--default-language-model", "words", "--max-rows", "2", "--max-waiting", "6")
    with RunningService(models, *arguments) as running, contextlib.ExitStack() as streams:
        for _ in range(4):
            events = streams.enter_context(running.streaming(max_tokens=STEPS, n=2))
            next(events)
        refused = running.post("/generate", {"max_tokens": 1})
        assert refused.status_code == 429
        assert error_of(refused)["type"] == "queue_full"
        assert int(refused.headers["Retry-After"]) >= 1
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(base_url=running.client.base_url, transport=transport) as other:
            assert other.post("/generate", json={"max_tokens": 1}).status_code == 200
