"""One client with very many requests, and the service for other clients, over real sockets."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.service.process import PATIENCE, RunningService, error_of, eventually

REQUESTS = 40
CHOICES = 16
STEPS = 8_192
SLOWLY = (
    *("--kernel", "torch", "--default-language-model", "words"),
    *("--max-answers-bytes", str(1 << 32)),
)


@contextlib.contextmanager
def siege(running: RunningService, requests: int, choices: int) -> Iterator[None]:
    """Many requests of 16 choices of 8,192 tokens run for one client."""
    body = json.dumps({"prompt": "The", "max_tokens": STEPS, "n": choices}).encode()
    head = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with contextlib.ExitStack() as connections:
        for _ in range(requests):
            connection = connections.enter_context(running.connect())
            connection.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        eventually(lambda: sequences(running) == requests * choices, "all are taken in")
        yield


def sequences(running: RunningService) -> float:
    """How many run or wait."""
    return sum(
        running.metric(f"unroll_sequences_{what}", model="words") for what in ("running", "waiting")
    )


@pytest.fixture(scope="module")
def besieged(models: Path) -> Iterator[RunningService]:
    """A service in which 40 requests of 16 choices of 8,192 tokens run for one client."""
    with (
        RunningService(models, *SLOWLY, "--max-waiting", "1000") as running,
        siege(running, REQUESTS, CHOICES),
    ):
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
    """A short request is answered within a few turns, for the same client and for another one,
    while the long requests generate a small part of their tokens.
    """
    before = besieged.metric("unroll_generated_tokens_total", model="words")
    transport = httpx.HTTPTransport(local_address=address)
    base = besieged.client.base_url
    with httpx.Client(base_url=base, transport=transport, timeout=PATIENCE) as client:
        assert client.post(path, json=fields).status_code == 200
    drawn = besieged.metric("unroll_generated_tokens_total", model="words") - before
    assert sequences(besieged) == REQUESTS * CHOICES
    assert drawn < 64 * STEPS / 10


def test_the_greedy_client_is_refused_and_no_other(models: Path) -> None:
    """A client without free places gets 429 with a Retry-After; another client is answered."""
    with (
        RunningService(models, *SLOWLY, "--max-rows", "2", "--max-waiting", "6") as running,
        siege(running, 4, 2),
    ):
        refused = running.post("/generate", {"max_tokens": 1})
        assert refused.status_code == 429
        assert error_of(refused)["type"] == "queue_full"
        assert int(refused.headers["Retry-After"]) >= 1
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        with httpx.Client(base_url=running.client.base_url, transport=transport) as other:
            assert other.post("/generate", json={"max_tokens": 1}).status_code == 200


LONG = "the keys to the cabinet are on the old table . " * 40
FLOODS: list[tuple[str, dict[str, object]]] = [
    ("/generate", {"prompt": LONG * 5, "max_tokens": 50}),
    ("/score", {"texts": [LONG * 3]}),
    ("/next-word", {"model": "bpe", "prompt": LONG}),
    ("/classify", {"texts": [LONG] * 4}),
    ("/inspect", {"text": LONG[:2000]}),
]


@pytest.fixture(scope="module")
def flooded(models: Path) -> Iterator[RunningService]:
    """A service that computes slowly and takes in many requests."""
    options = ("--max-waiting", "1000", "--max-waiting-inspections", "100", "--max-rows", "8")
    with RunningService(models, *SLOWLY, *options) as running:
        yield running


@pytest.mark.parametrize(("path", "fields"), FLOODS, ids=[path for path, _ in FLOODS])
def test_a_flood_of_one_client_does_not_delay_another(
    flooded: RunningService, path: str, fields: dict[str, object]
) -> None:
    """While one client has many requests, an equal one of another client is answered before half
    of them.
    """
    count = 60
    body = json.dumps(fields).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    with contextlib.ExitStack() as stack:
        flood = [stack.enter_context(flooded.connect()) for _ in range(count)]
        for connection in flood:
            connection.sendall(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        transport = httpx.HTTPTransport(local_address="127.0.0.2")
        base = flooded.client.base_url
        with httpx.Client(base_url=base, transport=transport, timeout=PATIENCE) as other:
            before = answered(flood)
            response = other.post(path, json=fields)
        assert response.status_code == 200, response.text
        assert answered(flood) - before < count / 2


def answered(connections: list[socket.socket]) -> int:
    """The number of connections with an answer."""
    return len(select.select(connections, [], [], 0)[0])
