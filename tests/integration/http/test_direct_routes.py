"""Short requests without the layers of the framework: the answers are those of the framework.

A media type with a parameter takes the way of the framework, so each request is sent in both ways.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.service.process import RunningService, error_of, eventually

KEY = "a-key-of-the-tests-1234"
DIRECT = {"Content-Type": "application/json"}
FRAMEWORK = {"Content-Type": "application/json; charset=utf-8"}
PATHS = ("/generate", "/next-word", "/score", "/classify")
VALID: tuple[tuple[str, dict[str, object]], ...] = (
    ("/generate", {"prompt": "The keys", "max_tokens": 1, "seed": 1}),
    ("/generate", {"prompt": "The", "max_tokens": 3, "seed": 5, "n": 2, "logprobs": 2}),
    ("/generate", {"prompt": "The", "max_tokens": 40, "seed": 5, "stream": True}),
    ("/next-word", {"prompt": "The keys", "top": 3, "end": True}),
    ("/score", {"texts": ["The keys are", "on the table"]}),
    ("/classify", {"text": "A warm and funny film."}),
    ("/classify", {"texts": ["A warm film.", "A cold film."], "top": 1}),
    ("/classify", {"text": "A warm film.", "explain": True}),
)
INVALID: tuple[tuple[str, str], ...] = (
    ("/generate", "{"),
    ("/generate", "null"),
    ("/generate", "[]"),
    ("/generate", '"text"'),
    ("/generate", "{}{}"),
    ("/generate", '{"prompt": "a", "prompt": "b"}'),
    ("/generate", '{"prompt": "a\\u0000"}'),
    ("/generate", '{"prompt": 5, "top_p": 0, "more": 1}'),
    ("/generate", '{"max_tokens": 0}'),
    ("/generate", '{"temperature": NaN}'),
    ("/generate", '{"max_tokens": 10000000}'),
    ("/generate", '{"prompt": "a", "model": "unknown"}'),
    ("/generate", '{"prompt": "a", "state": "forged"}'),
    ("/generate", '{"prompt": "a", "stop": ["", 5]}'),
    ("/next-word", "{}"),
    ("/next-word", '{"prompt": "a", "top": "5"}'),
    ("/score", '{"texts": []}'),
    ("/score", '{"texts": ["", "\\ud800"]}'),
    ("/score", '{"texts": ["a"], "deadline_ms": 0}'),
    ("/classify", "{}"),
    ("/classify", '{"text": " "}'),
    ("/classify", '{"text": "a", "texts": ["a"]}'),
    ("/classify", '{"text": "a", "state": "x", "explain": true}'),
)
FIELDS = ("prompt", "text", "texts", "max_tokens", "top", "n", "stop", "seed", "model", "other")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=3,
)


@pytest.fixture(scope="module")
def guarded(models: Path) -> Iterator[RunningService]:
    """A service that asks for a key and has small bodies; not the shared one, since other tests
    count the tokens that it has in its cache.
    """
    with RunningService(models, "--max-body-bytes", "1000", UNROLL_API_KEYS=KEY) as running:
        yield running


@pytest.fixture(scope="module")
def observed(models: Path) -> Iterator[RunningService]:
    """A service with limits of rates, traces, texts in its log and a port for the operator. Nothing
    listens where the traces go.
    """
    options = ("--requests-per-second", "0.001", "--admin-port", "0", "--log-format", "json")
    more = ("--log-texts", "--otlp-endpoint", "http://127.0.0.1:9")
    with RunningService(models, *options, *more) as running:
        yield running


def both_ways(guarded: RunningService, path: str, body: str) -> list[httpx.Response]:
    """The responses to a body by the short way and by that of the framework."""
    content = body.encode("utf-8", "surrogatepass")
    return [
        guarded.client.post(path, content=content, headers={**headers, "X-API-Key": KEY})
        for headers in (DIRECT, FRAMEWORK)
    ]


def assert_same(direct: httpx.Response, framework: httpx.Response) -> None:
    """The status, the body and the headers that matter are equal."""
    assert direct.status_code == framework.status_code, direct.text
    assert direct.headers["content-type"] == framework.headers["content-type"]
    if direct.headers["content-type"] == "application/json":
        assert _without_cache(direct.json()) == _without_cache(framework.json())


def _without_cache(fields: object) -> object:
    """The fields without the number of cached tokens: the second request has more of them."""
    if isinstance(fields, dict):
        return {k: _without_cache(value) for k, value in fields.items() if k != "cached_tokens"}
    return fields


@pytest.mark.parametrize(("path", "fields"), VALID)
def test_answers_are_those_of_the_framework(
    guarded: RunningService, path: str, fields: dict[str, object]
) -> None:
    """Both ways give the same answer, to the last digit."""
    direct, framework = both_ways(guarded, path, json.dumps(fields))
    assert direct.status_code == 200
    assert_same(direct, framework)


@pytest.mark.parametrize(("path", "body"), INVALID)
def test_refusals_are_those_of_the_framework(guarded: RunningService, path: str, body: str) -> None:
    """Both ways refuse with the same status, type, message and field."""
    direct, framework = both_ways(guarded, path, body)
    assert direct.status_code >= 400
    assert_same(direct, framework)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(PATHS), fields=st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_any_fields_are_answered_alike(
    guarded: RunningService, path: str, fields: dict[str, object]
) -> None:
    """For any fields, both ways give the same status, and the same refusal."""
    direct, framework = both_ways(guarded, path, json.dumps(fields))
    if direct.status_code == 200:
        assert framework.status_code == 200
    else:
        assert_same(direct, framework)


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 405),
        ("POST", {}, 415),
        ("POST", {"Content-Type": "text/plain"}, 415),
        ("POST", {"Content-Type": "application/json", "Content-Encoding": "gzip"}, 415),
    ],
)
def test_other_requests_are_left_to_the_framework(
    guarded: RunningService, method: str, headers: dict[str, str], status: int
) -> None:
    """Other methods, media types and codings get the framework's refusal."""
    response = guarded.client.request(
        method, "/classify", content=b"{}", headers={**headers, "X-API-Key": KEY}
    )
    assert response.status_code == status


def test_requests_are_counted_once(guarded: RunningService) -> None:
    """A short request is counted with its route and status, like any other."""
    for body, status in (('{"text": "A film."}', 200), ("{", 400)):
        for response in both_ways(guarded, "/classify", body):
            assert response.status_code == status
        labels = {"route": "/classify", "status": str(status)}
        before = guarded.metric("unroll_requests_total", **labels)
        both_ways(guarded, "/classify", body)
        assert guarded.metric("unroll_requests_total", **labels) == before + 2


def test_short_requests_need_the_key(guarded: RunningService) -> None:
    """Without the key or with another one, both ways answer 401, also for a body that is invalid;
    with the key they answer.
    """
    for headers in (DIRECT, FRAMEWORK):
        for key, body, status in (
            (None, b"{", 401),
            ("wrong", b'{"text": "A film."}', 401),
            (KEY, b'{"text": "A film."}', 200),
        ):
            sent = headers if key is None else {**headers, "X-API-Key": key}
            response = guarded.client.post("/classify", content=body, headers=sent)
            assert response.status_code == status


def test_short_requests_have_the_bound_of_the_body(guarded: RunningService) -> None:
    """A body above --max-body-bytes is refused in both ways."""
    body = json.dumps({"text": "a" * 2000}).encode()
    for headers in (DIRECT, FRAMEWORK):
        sent = {**headers, "X-API-Key": KEY}
        response = guarded.client.post("/classify", content=body, headers=sent)
        assert response.status_code == 413
        assert error_of(response)["type"] == "too_large"


def test_short_requests_are_limited_logged_and_traced(observed: RunningService) -> None:
    """A short request has its text, model, id and trace in the log. The next ones exceed the limit
    of the rate: both ways answer 429 and write the same line.
    """
    body = b'{"text": "A film."}'
    answers = [
        observed.client.post("/classify", content=body, headers=headers | traced(index))
        for index, headers in enumerate((DIRECT, DIRECT, FRAMEWORK))
    ]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    for refused in answers[1:]:
        assert error_of(refused)["type"] == "rate_limited"
        assert int(refused.headers["retry-after"]) > 1
    eventually(lambda: trace_of(2) in observed.output, "the last line is written")
    lines = [json.loads(line) for line in observed.output.splitlines() if '"request_id"' in line]
    for index, (line, answer) in enumerate(zip(lines[-3:], answers, strict=True)):
        assert line["request_id"] == answer.headers["x-request-id"] == f"id-{index}"
        assert line["trace_id"] == trace_of(index)
    assert lines[-3]["body"] == body.decode()
    assert lines[-3]["model"]
    same = ("client", "method", "path", "route", "status", "level")
    assert [lines[-2].get(key) for key in same] == [lines[-1].get(key) for key in same]
    assert lines[-2].keys() == lines[-1].keys()


def trace_of(index: int) -> str:
    """The id of a trace of the client."""
    return f"{index + 1:032x}"


def traced(index: int) -> dict[str, str]:
    """Headers with an id and a trace of the client."""
    return {"X-Request-ID": f"id-{index}", "traceparent": f"00-{trace_of(index)}-{1:016x}-01"}


def test_the_port_of_the_operator_has_no_short_requests(observed: RunningService) -> None:
    """Both ways answer 404 there."""
    marker = "/admin/reload is served at "
    eventually(lambda: marker in observed.output, "the port is logged")
    port = observed.output.partition(marker)[2].partition('"')[0].strip()
    for headers in (DIRECT, FRAMEWORK):
        response = httpx.post(f"http://{port}/classify", content=b"{}", headers=headers)
        assert response.status_code == 404
