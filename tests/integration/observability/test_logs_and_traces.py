"""Request ids, structured logs, and traces that a real collector gets over a real socket."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.monitoring.otlp_collector import ReceivedSpan, SpanCollector, collecting
from tests.support.service.process import RunningService, eventually, run_to_end

SECRET = "The secret keys"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-1bf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@pytest.fixture(scope="module")
def collector() -> Iterator[SpanCollector]:
    """Receives the spans of the service below."""
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def traced(models: Path, collector: SpanCollector) -> Iterator[RunningService]:
    """A service with JSON logs and traces."""
    with RunningService(
        models,
        *("--default-language-model", "words", "--log-format", "json"),
        *("--otlp-endpoint", collector.endpoint),
        OTEL_BSP_SCHEDULE_DELAY="50",
    ) as running:
        yield running


def entries(service: RunningService) -> list[dict[str, Any]]:
    """The records of the log so far. Each must be one line of JSON."""
    lines = [line for line in service.output.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in lines]


def entry_of(service: RunningService, request_id: str) -> dict[str, Any]:
    """The access log's line of a request."""

    def found() -> list[dict[str, Any]]:
        return [each for each in entries(service) if each.get("request_id") == request_id]

    eventually(lambda: bool(found()), f"the line of {request_id} is written")
    (entry,) = found()
    return entry


def spans_of(collector: SpanCollector, trace_id: str, count: int) -> dict[str, ReceivedSpan]:
    """The spans of a trace by name, once there are ``count``."""

    def found() -> list[ReceivedSpan]:
        return [span for span in collector.spans if span.trace_id == trace_id]

    eventually(lambda: len(found()) == count, f"{count} spans of {trace_id} arrive")
    return {span.name: span for span in found()}


def test_a_request_has_a_line_of_json(traced: RunningService) -> None:
    """The line has the client's id, the model, the status and the time, and no text of the
    client; the response has the same id.
    """
    response = traced.client.post(
        "/generate",
        json={"prompt": SECRET, "max_tokens": 3},
        headers={"X-Request-ID": "client-1.a:b/c"},
    )
    assert response.headers["x-request-id"] == "client-1.a:b/c"
    entry = entry_of(traced, "client-1.a:b/c")
    assert entry["logger"] == "unroll.access"
    assert entry["level"] == "info"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    assert {name: entry[name] for name in ("method", "path", "route", "status", "model")} == {
        "method": "POST",
        "path": "/generate",
        "route": "/generate",
        "status": 200,
        "model": "words",
    }
    assert entry["client"] == "127.0.0.1"
    assert entry["seconds"] > 0
    assert SECRET not in traced.output


@pytest.mark.parametrize(
    "sent", ["", "a b", "x" * 129, "a\tb", '"}', "käse"], ids=lambda text: text[:5]
)
def test_an_invalid_id_is_replaced(service: RunningService, sent: str) -> None:
    """An id with other characters, or a long one, gets a random one in its place."""
    headers = {b"X-Request-ID": sent.encode("latin-1")}
    response = service.client.get("/health/live", headers=headers)
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_every_answer_has_an_id_of_its_own(service: RunningService) -> None:
    """Errors and streams have one, and no two requests share one."""
    answers = [
        service.client.get("/nowhere"),
        service.client.post("/generate", content=b"{"),
        service.client.post("/generate", json={"max_tokens": 1, "stream": True}),
        service.client.head("/"),
    ]
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


def test_texts_are_logged_on_request_only(models: Path) -> None:
    """With --log-texts the line has the beginning of the body, on one line and bounded."""
    with RunningService(models / "words", "--log-texts") as running:
        text = "one\nINFO forged " + "x" * 10_000
        response = running.post("/generate", {"prompt": text, "max_tokens": 1})
        request_id = response.headers["x-request-id"]
        eventually(lambda: f"id={request_id} body=" in running.output, "the line is written")
        (line,) = (line for line in running.output.splitlines() if request_id in line)
        assert "forged" in line
        assert 4096 < len(line) < 5000


def test_a_trace_continues_that_of_the_client(
    traced: RunningService, collector: SpanCollector
) -> None:
    """The request's span has the client's trace and parent; below it are the time in the queue,
    to the first token, and to the end, one after the other.
    """
    response = traced.client.post(
        "/generate",
        json={"prompt": SECRET, "max_tokens": 40, "stream": True},
        headers={"traceparent": PARENT},
    )
    _, trace_id, parent_id, _ = PARENT.split("-")
    spans = spans_of(collector, trace_id, 4)
    root = spans["POST /generate"]
    assert root.parent_id == parent_id
    assert root.attributes["http.response.status_code"] == "200"
    assert root.attributes["unroll.request_id"] == response.headers["x-request-id"]
    stages = [spans[name] for name in ("queue", "first token", "rest")]
    assert {span.parent_id for span in stages} == {root.span_id}
    assert {span.attributes["unroll.model"] for span in stages} == {"words"}
    times = [time for span in stages for time in (span.begin, span.end)]
    assert [root.begin, *times, root.end] == sorted([root.begin, *times, root.end])
    assert entry_of(traced, response.headers["x-request-id"])["trace_id"] == trace_id


@pytest.mark.parametrize("header", ["", "garbage", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_an_invalid_context_starts_a_new_trace(
    traced: RunningService, collector: SpanCollector, header: str
) -> None:
    """The request is answered, and its span has no parent."""
    response = traced.client.post(
        "/classify", json={"text": "small birds"}, headers={"traceparent": header}
    )
    assert response.status_code == 200
    trace_id = entry_of(traced, response.headers["x-request-id"])["trace_id"]
    assert spans_of(collector, trace_id, 4)["POST /classify"].parent_id == ""


def test_what_the_client_does_not_sample_is_not_traced(
    traced: RunningService, collector: SpanCollector
) -> None:
    """No span arrives for it, nor for probes and scrapes; spans of refusals do."""
    traced.client.get("/models", headers={"traceparent": UNSAMPLED})
    traced.client.get("/health/live")
    traced.client.get("/metrics")
    missing = traced.client.post("/generate", json={"model": "nobody"})
    assert missing.status_code == 404
    trace_id = entry_of(traced, missing.headers["x-request-id"])["trace_id"]
    assert spans_of(collector, trace_id, 1).keys() == {"POST /generate"}
    names = {span.name for span in collector.spans}
    assert not names & {"GET /models", "GET /health/live", "GET /metrics"}


def test_spans_are_sent_at_the_end(models: Path) -> None:
    """SIGTERM sends the spans that are left, and a collector that is gone delays no request."""
    with collecting() as collector:
        with RunningService(
            models / "words",
            *("--otlp-endpoint", collector.endpoint),
            OTEL_BSP_SCHEDULE_DELAY="1000000",
        ) as running:
            running.ask("/generate", max_tokens=1)
            assert collector.spans == []
            running.signal(signal.SIGTERM)
            assert running.wait() == 0
        assert len(collector.named("POST /generate")) == 1


def test_missing_packages_are_named(models: Path, tmp_path: Path) -> None:
    """Without the packages of the extra, the start ends with a sentence that names it."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.modules['opentelemetry.exporter'] = None"
    )
    ended = run_to_end(
        *("--models", str(models / "words"), "--port", "0"),
        *("--otlp-endpoint", "http://127.0.0.1:4318"),
        PYTHONPATH=str(tmp_path),
    )
    assert ended.returncode == 1
    assert "unroll[otel]" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--log-format", "xml"),
        ("--otlp-endpoint", "localhost:4318"),
        ("--trace-ratio", "2"),
    ],
)
def test_settings_are_checked(option: str, value: str) -> None:
    """A wrong value is refused with the name of the option."""
    ended = run_to_end(option, value)
    assert ended.returncode == 2
    assert option in ended.stderr
