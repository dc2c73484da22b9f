"""The number of series does not depend on what clients send."""

from __future__ import annotations

import random
import re
import string

from tests.support.service.process import RunningService

REQUESTS = 300
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW", "X" * 40)
PATHS = (
    *("/generate", "/models", "/inspect", "/playground", "/metrics", "/health", "/v1", "/admin"),
    *("", "/openapi.json", "/score/..", "/%2e%2e", "//"),
)


def hostile_requests(generator: random.Random) -> list[bytes]:
    """Requests with made-up methods, paths, models, versions, ids and headers."""

    def word() -> str:
        return "".join(generator.choices(string.ascii_letters + "%{}\\\"'=,\x7f", k=12))

    requests = []
    for _ in range(REQUESTS):
        method = generator.choice(METHODS)
        path = f"{generator.choice(PATHS)}/{word()}?{word()}={word()}"
        if generator.random() < 0.3:
            method, path = "POST", generator.choice(("/generate", "/classify", "/score"))
        body = f'{{"model": "{generator.getrandbits(64):x}", "prompt": "x", "text": "x"}}'
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {word()}\r\nX-Request-ID: {word()}\r\n"
            f"User-Agent: {word()}\r\nContent-Type: application/json\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append((head + body).encode())
    return requests


def series(service: RunningService) -> set[str]:
    """The names with labels of all series."""
    lines = service.client.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0] for line in lines if not line.startswith("#")}


def test_hostile_requests_make_no_series(service: RunningService) -> None:
    """After methods, paths, models and headers that clients made up, every new series is a known
    route with a status of this service; nothing of a client is in any label.
    """
    before = series(service)
    for request in hostile_requests(random.Random(0)):
        with service.connect() as connection:
            connection.sendall(request)
            while connection.recv(1 << 16):
                pass
    added = series(service) - before
    routes = {match[1] for name in before if (match := re.search(r'route="([^"]*)"', name))}
    for name in added:
        match = re.fullmatch(r'unroll_requests_total\{route="([^"]*)",status="(\d{3})"\}', name)
        assert match is not None, name
        assert match[1] in routes
    assert len(added) <= 2 * len(routes)
