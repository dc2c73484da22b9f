"""What is refused before any field is looked at: bodies, routes, methods, keys."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.http.process import RunningService, error_of

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
        (b'"text"', 422, "invalid_request"),
        (b"{", 400, "invalid_json"),
        (b"{'prompt': 'a'}", 400, "invalid_json"),
        (b'{"prompt": "a"} x', 400, "invalid_json"),
        (b'{"temperature": NaN}', 400, "invalid_json"),
        (b'{"temperature": -Infinity}', 400, "invalid_json"),
        (b'{"temperature": 1e999}', 422, "invalid_request"),
        (b'{"seed": ' + b"9" * 10_000 + b"}", 400, "invalid_json"),
        (b'{"seed": ' + b"9" * 100 + b"}", 422, "invalid_request"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400, "invalid_json"),
        (b'{"prompt": "a", "prompt": "b"}', 400, "invalid_json"),
        (b'{"prompt": "\\ud800"}', 422, "invalid_request"),
        (b'{"model": "\\udfff"}', 422, "invalid_request"),
        (b'{"\\ud800": 1}', 422, "invalid_request"),
        (b'{"prompt": "\\u0000"}', 422, "invalid_request"),
        (b'{"prompt": "\xff\xfe"}', 400, "invalid_json"),
        ("{}".encode("utf-16"), 400, "invalid_json"),
        (b'{"prompt": "a\nb"}', 400, "invalid_json"),
    ],
)
def test_broken_bodies(service: RunningService, body: bytes, status: int, kind: str) -> None:
    """Whatever is sent as JSON gets an answer of the one shape, and never a 500."""
    response = service.client.post("/generate", content=body, headers=JSON)
    assert response.status_code == status, response.text
    assert error_of(response)["type"] == kind


@pytest.mark.parametrize("declared", [None, "text/plain", "application/x-www-form-urlencoded", ";"])
def test_body_must_be_declared_as_json(service: RunningService, declared: str | None) -> None:
    """Another content type, or none, is a 415 that says what to send."""
    headers = {} if declared is None else {"Content-Type": declared}
    response = service.client.post("/generate", content=b"{}", headers=headers)
    assert response.status_code == 415
    assert "application/json" in error_of(response)["message"]


def test_content_type_may_have_parameters(service: RunningService) -> None:
    """A charset in the content type does no harm."""
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    body = b'{"max_tokens": 1}'
    response = service.client.post("/generate", content=body, headers=headers)
    assert response.status_code == 200


def test_large_body_is_refused_by_its_announcement(service: RunningService) -> None:
    """A Content-Length over the limit is refused before any of the body is sent."""
    with service.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10000000\r\n\r\n"
        )
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


def test_large_body_is_refused_while_it_comes(service: RunningService) -> None:
    """Ten megabytes are a 413 that the client gets to see, announced or not."""
    announced = service.client.post("/generate", content=b"x" * 10_000_000, headers=JSON)
    assert announced.status_code == 413
    assert error_of(announced)["type"] == "too_large"

    def chunks() -> Iterator[bytes]:
        yield from itertools.repeat(b"x" * 100_000, 100)

    counted = service.client.post("/generate", content=chunks(), headers=JSON)
    assert counted.status_code == 413
    assert service.client.get("/health/live").status_code == 200


def test_largest_body_is_taken(service: RunningService) -> None:
    """A body of exactly the limit is read and looked at."""
    limit = service.client.get("/models/words").json()["limits"]["body_bytes"]
    body = json.dumps({"max_tokens": 1}).encode()
    response = service.client.post("/generate", content=body.ljust(limit), headers=JSON)
    assert response.status_code == 200
    over = service.client.post("/generate", content=body.ljust(limit + 1), headers=JSON)
    assert over.status_code == 413


def test_unknown_routes_and_methods(service: RunningService) -> None:
    """404 and 405 have the one shape too, whatever the path says."""
    for path in ("/nothing", "/generate/", "/models/", "/%00", "/a%0ab", "/" + "x" * 5000):
        response = service.client.get(path)
        assert response.status_code == 404, path
        assert error_of(response)["type"] == "not_found"
    response = service.client.get("/generate")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert error_of(response)["type"] == "method_not_allowed"
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert service.client.request(method, "/models").status_code == 405


def test_get_ignores_a_body(service: RunningService) -> None:
    """A body where none is asked for is not looked at."""
    response = service.client.request("GET", "/models", content=b"{" * 100)
    assert response.status_code == 200


def test_keys(models: Path) -> None:
    """With keys set, work needs one of them; health, metrics and documentation do not."""
    with RunningService(models, UNROLL_API_KEYS="first, second") as service:
        request = {"max_tokens": 1}
        client = service.client
        for headers in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Basic first"},
            {"X-API-Key": "firs"},
            {b"X-API-Key": "é".encode()},
        ):
            response = client.post("/generate", json=request, headers=headers)
            assert response.status_code == 401
            assert error_of(response)["type"] == "unauthorized"
            assert response.headers["www-authenticate"] == "Bearer"
        for headers in (
            {"Authorization": "Bearer first"},
            {"authorization": "bearer second"},
            {"X-API-Key": "second"},
        ):
            assert client.post("/generate", json=request, headers=headers).status_code == 200
        assert client.get("/models").status_code == 401
        assert client.post("/generate", content=b"x" * 10_000_000).status_code == 401
        for path in ("/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/"):
            assert client.get(path).status_code == 200
        assert "first" not in service.output


def test_slow_body_times_out(narrow_service: RunningService) -> None:
    """A body that stops arriving is a 408; nothing else waits for it."""
    with narrow_service.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"prompt": '
        )
        assert narrow_service.client.get("/health/live").status_code == 200
        assert connection.recv(64).startswith(b"HTTP/1.1 408 ")
