"""Operation: models, health, metrics, documentation, access log."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.service.process import RunningService, error_of, eventually, run_to_end
from tests.support.service.small_artifacts import LABELS

CONSTANT = {"unroll_live": 1, "unroll_ready": 1, "unroll_sequences_waiting_limit": 256}
NAMES = [
    "unroll_requests_total",
    "unroll_request_seconds",
    "unroll_queue_seconds",
    "unroll_time_to_first_token_seconds",
    "unroll_inter_token_seconds",
    "unroll_prompt_tokens_total",
    "unroll_generated_tokens_total",
    "unroll_sequences_running",
    "unroll_sequences_waiting",
    "unroll_sequences_finished_total",
    "unroll_batch_rows",
    "unroll_step_seconds",
    "unroll_state_cache_bytes",
    "unroll_state_cache_lookups_total",
    "unroll_rejected_total",
    "unroll_model_info",
    "unroll_build_info",
    "process_resident_memory_bytes",
]


def test_models_are_described(service: RunningService) -> None:
    """The list has every model once, in order, with the description of its own route."""
    listed = service.client.get("/models").json()["models"]
    assert [model["name"] for model in listed] == [
        "bpe",
        "brief",
        "chars",
        "sentiment",
        "stories",
        "topics",
        "words",
    ]
    assert [model["name"] for model in listed if model["default"]] == ["sentiment", "words"]
    for model in listed:
        assert service.client.get(f"/models/{model['name']}").json() == model
        assert model["vocabulary_size"] == model["architecture"]["vocabulary"]
        assert model["limits"]["body_bytes"] == 2**20
    words, topics, sentiment = listed[6], listed[5], listed[3]
    assert words["architecture"]["cell"] == "lstm"
    assert words["architecture"]["layers"] == 2
    assert words["metrics"] == {"perplexity": 42.0}
    assert words["limits"]["max_tokens"] == 8192
    assert "labels" not in words
    assert sentiment["labels"] == list(LABELS)
    assert "out_of_scope_label" not in sentiment
    assert topics["labels"] == [*LABELS, "none"]
    assert topics["out_of_scope_label"] == "none"


def test_unknown_model_is_not_found(service: RunningService) -> None:
    """An unknown model is a 404 of the one shape, also if its name is a path."""
    response = service.client.get("/models/nobody")
    assert response.status_code == 404
    assert error_of(response)["type"] == "model_not_found"
    assert service.client.get("/models/..%2f..%2fetc%2fpasswd").status_code == 404


def test_healthy(service: RunningService) -> None:
    """A running service is live and ready."""
    assert service.client.get("/health/live").json() == {"status": "live"}
    assert service.client.get("/health/ready").json() == {"status": "ready"}


def test_index_points_on(service: RunningService) -> None:
    """The root lists models and routes."""
    index = service.client.get("/").json()
    assert index["documentation"] == "/docs"
    assert "/generate" in index["routes"]
    assert "words" in index["models"]


def test_metrics_are_complete_and_at_zero(fresh_service: RunningService) -> None:
    """Before the first request every metric exists, at zero, for each model and route: the
    warm-up is not counted.
    """
    response = fresh_service.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    families = list(text_string_to_metric_families(response.text))
    samples = [sample for family in families for sample in family.samples]
    exported = {sample.name for sample in samples}
    for name in NAMES:
        assert exported & {name, f"{name}_bucket"}, name
    for sample in samples:
        if sample.name.startswith("unroll_") and not sample.name.endswith("_info"):
            assert sample.value == CONSTANT.get(sample.name, 0), sample
    for model in ("words", "sentiment"):
        for name in ("unroll_queue_seconds_count", "unroll_generated_tokens_total"):
            assert any(s.name == name and s.labels == {"model": model} for s in samples)
    bounds = {s.labels["le"] for s in samples if s.name == "unroll_step_seconds_bucket"}
    assert min(map(float, bounds)) == 50e-6


def test_metrics_count(service: RunningService) -> None:
    """One request adds one request, its tokens, its sequence and its times."""

    def counts() -> list[float]:
        return [
            service.metric("unroll_requests_total", route="/generate", status="200"),
            service.metric("unroll_request_seconds_count", route="/generate"),
            service.metric("unroll_prompt_tokens_total", model="chars"),
            service.metric("unroll_generated_tokens_total", model="chars"),
            service.metric("unroll_sequences_finished_total", model="chars", reason="length"),
            service.metric("unroll_time_to_first_token_seconds_count", model="chars"),
            service.metric("unroll_inter_token_seconds_count", model="chars"),
            service.metric("unroll_queue_seconds_count", model="chars"),
        ]

    before = counts()
    service.ask("/generate", model="chars", prompt="far", max_tokens=10)  # not asked before
    changes = [after - earlier for after, earlier in zip(counts(), before, strict=True)]
    # The [END] that a sequence starts with may be counted as read.
    assert changes[2] in {3, 4}
    assert changes[:2] + changes[3:] == [1, 1, 10, 1, 1, 9, 1]


def test_strangers_do_not_make_labels(service: RunningService) -> None:
    """All unknown paths share one label."""
    for number in range(5):
        service.client.get(f"/made-up-{number}")
        service.client.get(f"/models/made-up-{number}")
    text = service.client.get("/metrics").text
    assert "made-up" not in text
    assert service.metric("unroll_requests_total", route="other", status="404") >= 5
    assert service.metric("unroll_requests_total", route="/models/{name}", status="404") >= 5


def test_documentation_is_complete(service: RunningService) -> None:
    """Each route has a summary or description, each field a type, each error its shape."""
    assert service.client.get("/docs").status_code == 200
    schema = service.client.get("/openapi.json").json()
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    shape = response["content"]["application/json"]["schema"]
                    name = "OpenAIErrorResponse" if path.startswith("/v1/") else "ErrorResponse"
                    assert shape == {"$ref": f"#/components/schemas/{name}"}
    assert "HTTPValidationError" not in schema["components"]["schemas"]


def test_examples_of_the_documentation_run(service: RunningService) -> None:
    """Each example in the documentation is a request that succeeds unchanged."""
    schema = service.client.get("/openapi.json").json()
    asked = 0
    for path, operations in schema["paths"].items():
        if "post" in operations:
            for example in _examples(schema, operations["post"]):
                service.ask(path, **example)
                asked += 1
    assert asked >= 4


def test_no_route_is_undocumented_by_accident(service: RunningService) -> None:
    """The documented routes are those of the design."""
    schema = service.client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/generate",
        "/next-word",
        "/score",
        "/classify",
        "/inspect",
        "/inspect/units",
        "/inspect/generate",
        "/inspect/states",
        "/inspect/swap",
        "/inspect/influence",
        "/inspect/continuations",
        "/inspect/step",
        "/inspect/words",
        "/models",
        "/models/{name}",
        "/health/live",
        "/health/ready",
        "/embed",
        "/tokenize",
        "/detokenize",
        "/tokenizer_info",
        "/v1/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{id}",
    }


def test_access_log_holds_no_line_breaks_of_strangers(service: RunningService) -> None:
    """A path with an encoded line break stays on one line of the log."""
    service.client.get("/x%0aINFO%20forged")
    service.client.get("/health/live")
    eventually(lambda: "GET /x%0aINFO%20forged 404" in service.output, "the line is written")
    assert "\nINFO forged" not in service.output


def test_strangers_do_not_write_the_access_log(service: RunningService, models: Path) -> None:
    """X-Forwarded-For is trusted from configured proxies alone, and adds nothing but an address."""
    forged = {"X-Forwarded-For": "203.0.113.7"}
    service.client.get("/health/live?forged", headers=forged)
    assert "203.0.113.7" not in service.output
    with RunningService(models / "words", "--trusted-proxies", "127.0.0.0/8") as behind:
        behind.client.get("/health/live", headers=forged)
        behind.client.get("/health/live", headers={"X-Forwarded-For": "a GET /forged 200\tb"})
        behind.client.get("/health/ready")
        assert re.search(r"access: 203\.0\.113\.7 GET /health/live 200 ", behind.output)
        assert "GET /forged 200" not in behind.output
        assert "\t" not in behind.output


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--trusted-proxies", "proxy.example"),
        ("--trusted-proxies", "10.0.0.0/99"),
        ("--allow-origins", "example.com"),
        ("--allow-origins", "https://example.com/"),
        ("--max-head-bytes", "10"),
        ("--head-seconds", "0"),
        ("--max-connections", "0"),
    ],
)
def test_settings_of_connections_are_checked(option: str, value: str) -> None:
    """A value that could never match is refused with the name of the option."""
    ended = run_to_end(option, value)
    assert ended.returncode == 2
    assert option in ended.stderr


def _examples(schema: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    examples: list[dict[str, Any]] = schema["components"]["schemas"][reference.split("/")[-1]][
        "examples"
    ]
    return examples
