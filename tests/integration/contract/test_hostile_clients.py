"""Two hundred hostile requests during 32 streams: each is refused, without effect on the
streams.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.support.service.process import RunningService, error_of

STREAMS = 32
ROUTES: dict[str, dict[str, Any]] = {
    "/generate": {"prompt": "The", "max_tokens": 5},
    "/next-word": {"prompt": "The", "top": 5},
    "/score": {"texts": ["The keys"]},
    "/classify": {"text": "The keys"},
}
WRONG_VALUES: list[Any] = [
    *(True, "5", -1, 10**30, 1.5, [], {}, [[1]], {"a": {"b": None}}),
    *("nul \0", "\ud800", ["\udfff"], ["a", None], [""] * 2000),
]
BROKEN_BODIES: list[bytes] = [
    b"",
    b"{",
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b"\xff\xfe\x00",
    b"NaN",
    b'{"prompt": 1e999}',
    b'{"seed": ' + b"1" * 20_000 + b"}",
    b'{"model": "words", "model": "words"}',
    b'{"__proto__": {}, "constructor": 1}',
    b'{"model": "../../etc/passwd"}',
    b'{"state": "AAAA"}',
    b"x" * 10_000_000,
]


@pytest.mark.slow
def test_two_hundred_hostile_requests(service: RunningService) -> None:
    """Each gets a 4xx of the one shape; the streams have the same text as alone."""
    alone = {seed: service.text(**_fields(seed)) for seed in range(STREAMS)}
    started = threading.Barrier(STREAMS + 1)
    over = threading.Event()

    def stream_again_and_again(seed: int) -> set[str]:
        started.wait(timeout=60)
        texts = set()
        while not over.is_set():
            events = service.events(**_fields(seed))
            texts.add("".join(event.get("text", "") for event in events))
        return texts

    with ThreadPoolExecutor(STREAMS) as pool:
        streams = {seed: pool.submit(stream_again_and_again, seed) for seed in range(STREAMS)}
        started.wait(timeout=60)
        try:
            refused = _assault(service)
        finally:
            over.set()
        assert refused >= 200
        assert {seed: texts.result() for seed, texts in streams.items()} == {
            seed: {text} for seed, text in alone.items()
        }
    assert "Traceback" not in service.output


def _fields(seed: int) -> dict[str, Any]:
    return {"prompt": "The keys", "max_tokens": 150, "seed": seed}


def _assault(service: RunningService) -> int:
    """The number of requests that were refused as expected."""
    count = 0
    for request in _hostile_requests(service.client):
        response = service.client.send(request)
        assert 400 <= response.status_code < 500, (request.url, response.text)
        error_of(response)
        count += 1
    for garbage, status, kind in (
        (b"GET\r\n\r\n", 400, "invalid_http"),
        (b"\x16\x03\x01" * 50, 400, "invalid_http"),
        (b"POST /generate HTTP/9.9\r\n\r\n", 505, "version_not_supported"),
    ):
        with service.connect() as connection:
            connection.sendall(garbage)
            answer = connection.recv(1000)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["type"] == kind
    hang = service.connect()
    hang.sendall(b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
    hang.close()
    return count


def _hostile_requests(client: httpx.Client) -> Iterator[httpx.Request]:
    """Invalid values in every field of every route, then invalid requests."""
    headers = {"Content-Type": "application/json"}
    for path, good in ROUTES.items():
        fields = [*good, "model", "deadline_ms", "unknown"]
        for field, value in itertools.product(fields, WRONG_VALUES):
            if not _is_fine(field, value):
                body = json.dumps({**good, field: value}).encode()
                yield client.build_request("POST", path, content=body, headers=headers)
        for body in BROKEN_BODIES:
            yield client.build_request("POST", path, content=body, headers=headers)
        yield client.build_request("POST", path, content=b"{}")
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MADEUP"):
            yield client.build_request(method, path)
    for path in ("/nothing", "/generate/x", "/models/%00", "/models/" + "x" * 3000, "/%ff"):
        yield client.build_request("GET", path)


def _is_fine(field: str, value: object) -> bool:
    """Strings are valid texts, and "5" is an unknown model, which is a 404."""
    return field in {"prompt", "text"} and value == "5"
