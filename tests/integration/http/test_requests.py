"""Refusals before any field is checked: bodies, routes, methods, keys."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.service.process import RunningService, error_of, run_to_end
from tests.support.service.raw_http import PROBE, answers, ask, is_probe, received

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
    """Any bytes sent as JSON get a response of the one shape, and never a 500."""
    response = service.client.post("/generate", content=body, headers=JSON)
    assert response.status_code == status, response.text
    assert error_of(response)["type"] == kind


@pytest.mark.parametrize("declared", [None, "text/plain", "application/x-www-form-urlencoded", ";"])
def test_body_must_be_declared_as_json(service: RunningService, declared: str | None) -> None:
    """Another content type, or none, is a 415 that names the right one."""
    headers = {} if declared is None else {"Content-Type": declared}
    response = service.client.post("/generate", content=b"{}", headers=headers)
    assert response.status_code == 415
    assert "application/json" in error_of(response)["message"]


def test_content_type_may_have_parameters(service: RunningService) -> None:
    """A charset in the content type is allowed."""
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
    """Ten megabytes are a 413 that the client receives, announced or not."""
    announced = service.client.post("/generate", content=b"x" * 10_000_000, headers=JSON)
    assert announced.status_code == 413
    assert error_of(announced)["type"] == "too_large"

    def chunks() -> Iterator[bytes]:
        yield from itertools.repeat(b"x" * 100_000, 100)

    counted = service.client.post("/generate", content=chunks(), headers=JSON)
    assert counted.status_code == 413
    assert service.client.get("/health/live").status_code == 200


def test_largest_body_is_taken(service: RunningService) -> None:
    """A body of exactly the limit is read and parsed."""
    limit = service.client.get("/models/words").json()["limits"]["body_bytes"]
    body = json.dumps({"max_tokens": 1}).encode()
    response = service.client.post("/generate", content=body.ljust(limit), headers=JSON)
    assert response.status_code == 200
    over = service.client.post("/generate", content=body.ljust(limit + 1), headers=JSON)
    assert over.status_code == 413


def test_unknown_routes_and_methods(service: RunningService) -> None:
    """404 and 405 have the one shape, for any path."""
    for path in ("/nothing", "/generate//", "/models//", "/%00", "/a%0ab", "/" + "x" * 5000):
        response = service.client.get(path)
        assert response.status_code == 404, path
        assert error_of(response)["type"] == "not_found"
    response = service.client.get("/generate")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    assert error_of(response)["type"] == "method_not_allowed"
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "MADEUP"):
        response = service.client.request(method, "/models")
        assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


def test_get_ignores_a_body(service: RunningService) -> None:
    """A body of a GET is ignored."""
    response = service.client.request("GET", "/models", content=b"{" * 100)
    assert response.status_code == 200


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP", "identity, deflate", "made-up"])
def test_compressed_bodies_are_refused(service: RunningService, coding: str) -> None:
    """A body with a content coding is a 415 that names it and the accepted one."""
    headers = {**JSON, "Content-Encoding": coding}
    for path in ("/generate", "/classify", "/score", "/next-word"):
        response = service.client.post(path, content=gzip.compress(b"{}"), headers=headers)
        assert response.status_code == 415
        assert coding.lower().split(", ")[-1] in error_of(response)["message"]
        assert response.headers["accept-encoding"] == "identity"


def test_identity_is_no_coding(service: RunningService) -> None:
    """Content-Encoding: identity is allowed."""
    headers = {**JSON, "Content-Encoding": "Identity"}
    response = service.client.post("/generate", content=b'{"max_tokens": 1}', headers=headers)
    assert response.status_code == 200


def test_byte_order_mark(service: RunningService) -> None:
    """A body may begin with the byte order mark of UTF-8; other encodings are refused by name."""
    body = '{"max_tokens": 1}'
    response = service.client.post("/generate", content=body.encode("utf-8-sig"), headers=JSON)
    assert response.status_code == 200
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        response = service.client.post("/generate", content=body.encode(encoding), headers=JSON)
        assert response.status_code == 400
        assert f"{encoding[:6].upper()}; send the JSON in UTF-8" in error_of(response)["message"]


@pytest.mark.parametrize(
    "path", ["/", "/models", "/models/words", "/health/live", "/metrics", "/docs", "/openapi.json"]
)
def test_head_is_get_without_the_body(service: RunningService, path: str) -> None:
    """HEAD has the status and the headers of GET and no body, then the connection goes on."""
    request = f"{{}} {path} HTTP/1.1\r\nHost: x\r\n\r\n"
    (asked, _) = ask(service, request.format("GET").encode())
    head, probe = answers(
        received(service, request.format("HEAD").encode(), PROBE), without_body=(0,)
    )
    assert (head.status, head.body) == (200, b"")
    assert is_probe(probe)
    changing = {"date", "x-request-id", *(["content-length"] if path == "/metrics" else [])}
    assert head.headers.keys() == asked.headers.keys()
    assert all(head.headers[name] == asked.headers[name] for name in head.headers.keys() - changing)


def test_head_of_what_is_not_there(service: RunningService) -> None:
    """HEAD gets the status of GET."""
    for path, status in (("/nothing", 404), ("/models/nobody", 404), ("/generate", 405)):
        response = service.client.head(path)
        assert (response.status_code, response.content) == (status, b"")


def test_options_of_the_service(service: RunningService) -> None:
    """OPTIONS * returns the methods of the service."""
    first, second = ask(service, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (first.status, first.headers["allow"], first.body) == (204, "GET, HEAD, POST", b"")
    assert is_probe(second)


def test_a_trailing_slash_makes_no_difference(service: RunningService) -> None:
    """A path with a trailing slash is answered at once, without a redirect; only the API reference,
    whose links are relative, moves.
    """
    for path in ("/models/", "/models/words/", "/health/live/", "/metrics/"):
        assert service.client.get(path).status_code == 200
    moved = service.client.get("/docs/?a=b")
    assert (moved.status_code, moved.headers["location"]) == (308, "../docs")
    assert service.client.get("/docs/", follow_redirects=True).url.path == "/docs"
    for path in ("/generate/", "/classify/", "/score/", "/next-word/"):
        assert service.post(path, {"unknown": 1}).status_code == 422
        assert service.client.get(path).status_code == 405
    assert service.metric("unroll_requests_total", route="/generate", status="422") >= 1


def test_web_pages_of_named_origins(models: Path) -> None:
    """With --allow-origins a page may call the service: preflights need no key, and errors are
    readable.
    """
    page = {"Origin": "https://a.example"}
    key = "k" * 16
    with RunningService(
        models / "words", "--allow-origins", "https://a.example,http://b:1", UNROLL_API_KEYS=key
    ) as service:
        preflight_headers = {
            **page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type, authorization, x-api-key",
        }
        preflight = service.client.options("/generate", headers=preflight_headers)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == page["Origin"]
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        for headers, status in ((page, 401), ({**page, "X-API-Key": key}, 200)):
            response = service.client.post("/generate", json={"max_tokens": 1}, headers=headers)
            assert response.status_code == status
            assert response.headers["access-control-allow-origin"] == page["Origin"]
        response = service.client.get("/nothing", headers={**page, "X-API-Key": key})
        assert response.headers["access-control-allow-origin"] == page["Origin"]
        stranger = service.client.get("/health/live", headers={"Origin": "https://c.example"})
        assert "access-control-allow-origin" not in stranger.headers


def test_no_web_page_by_default(service: RunningService) -> None:
    """Without --allow-origins no origin may read responses."""
    response = service.client.get("/health/live", headers={"Origin": "https://a.example"})
    assert not any(name.startswith("access-control") for name in response.headers)


def test_banner_shows_whether_keys_are_required(service: RunningService, models: Path) -> None:
    """The banner states whether keys are required, warns of a short key and shows no key."""
    assert "API keys: not required" in service.output
    with RunningService(models / "words", UNROLL_API_KEYS="one,two,one") as guarded:
        assert "API keys: one of 2 is required" in guarded.output
        assert "fewer than 16 characters" in guarded.output


@pytest.mark.parametrize("keys", [",", " ", ", ,", "käse", "two words"])
def test_keys_that_are_none_are_refused(models: Path, keys: str) -> None:
    """Empty keys and keys that cannot be sent in a header end the start with a message."""
    ended = run_to_end("--models", str(models), UNROLL_API_KEYS=keys)
    assert ended.returncode == 2
    assert "UNROLL_API_KEYS" in ended.stderr
    assert "Traceback" not in ended.stderr


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
    """An incomplete body is a 408; other requests are not delayed."""
    with narrow_service.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b'Content-Length: 100\r\n\r\n{"prompt": '
        )
        assert narrow_service.client.get("/health/live").status_code == 200
        assert connection.recv(64).startswith(b"HTTP/1.1 408 ")
