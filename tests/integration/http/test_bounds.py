"""Expensive requests are bounded before the work, and do not block the event loop.

The delay of other requests is held against generous bounds: bounded work takes milliseconds,
unbounded work takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.service.probe import Probe, post_at_once
from tests.support.service.process import RunningService, error_of

MEGABYTE = 1_000_000
LONGEST_SILENCE = 1.0  # seconds; a tenth of it on an idle machine
MOST_GROWTH = 150 * 2**20

HOSTILE: dict[str, tuple[str, bytes]] = {
    name: (path, body if isinstance(body, bytes) else json.dumps(body).encode())
    for name, path, body in [
        ("characters", "/generate", {"model": "chars", "prompt": "a" * MEGABYTE}),
        ("words", "/generate", {"model": "words", "prompt": "a," * (MEGABYTE // 2)}),
        ("spaces", "/generate", {"model": "words", "prompt": " " * MEGABYTE}),
        ("bpe", "/generate", {"model": "bpe", "prompt": "é" * (MEGABYTE // 6)}),
        ("next word", "/next-word", {"model": "bpe", "prompt": "a " * (MEGABYTE // 2)}),
        ("scores", "/score", {"model": "chars", "texts": ["a" * 15_000] * 64}),
        ("score", "/score", {"model": "words", "texts": ["a," * (MEGABYTE // 2)]}),
        ("explain", "/classify", {"texts": ["a " * 7_000] * 64, "explain": True}),
        (
            "log-probabilities",
            "/generate",
            {
                "model": "chars",
                "prompt": "abc " * 24_000,
                "max_tokens": 0,
                "echo": True,
                "logprobs": 20,
            },
        ),
        ("choices", "/generate", {"max_tokens": 8192, "n": 16, "logprobs": 20}),
        ("nested", "/score", b'{"texts":[' + b",".join([b"[" * 50 + b"]" * 50] * 9_000) + b"]}"),
        ("numbers", "/score", b'{"texts":[' + b"1," * 500_000 + b"1]}"),
        ("strings", "/classify", b'{"texts":[' + b'"",' * 300_000 + b'""]}'),
        ("objects", "/score", b'{"texts":[' + b"{}," * 300_000 + b"{}]}"),
        ("fields", "/score", b"{%s}" % b",".join(b'"k%d":1' % i for i in range(80_000))),
        ("digits", "/generate", b'{"stop":[' + b"9" * 4_000 + (b"," + b"9" * 4_000) * 240 + b"]}"),
        ("state", "/generate", {"state": "A" * MEGABYTE}),
    ]
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refused_requests_do_not_delay_others(service: RunningService, name: str) -> None:
    """Eight concurrent requests are refused with the one error shape. Meanwhile the service
    answers others, and afterwards it has about as much memory as before.
    """
    path, body = HOSTILE[name]
    probe = Probe(service)
    with probe.watching():
        answers = post_at_once(service, path, body)
    for status, content, _ in answers:
        assert status in {400, 422}, content
        assert set(json.loads(content)["error"]) == {"type", "message", "param"}
    assert probe.longest_silence < LONGEST_SILENCE
    assert probe.peak_bytes - probe.before_bytes < MOST_GROWTH


def test_long_text_is_classified_up_to_its_limit(service: RunningService) -> None:
    """Of a megabyte of text only the read part is encoded; the count and the mark are right."""
    probe = Probe(service)
    with probe.watching():
        answers = post_at_once(
            service, "/classify", json.dumps({"text": "dog " * 249_000}).encode()
        )
    for status, content, _ in answers:
        assert status == 200, content
        (result,) = json.loads(content)["results"]
        assert result["token_count"] == 4096
        assert result["truncated"] is True
    assert probe.longest_silence < LONGEST_SILENCE
    (exact,) = service.ask("/classify", text="dog " * 4096)["results"]
    assert (exact["token_count"], exact["truncated"]) == (4096, False)


@pytest.mark.slow
def test_large_answers_hold_up_nobody(service: RunningService) -> None:
    """Eight concurrent answers of the largest size, written in slices, whole and streamed."""
    fields = {"model": "chars", "prompt": "abc " * 1_500, "echo": True, "max_tokens": 1}
    for path, body in (
        ("/generate", {**fields, "logprobs": 20}),
        ("/generate", {**fields, "logprobs": 20, "stream": True}),
        ("/score", {"model": "chars", "texts": ["abc " * 1_500] * 4}),
        ("/classify", {"texts": ["dog"] * 64}),
    ):
        probe = Probe(service)
        with probe.watching():
            answers = post_at_once(service, path, json.dumps(body).encode())
        assert {status for status, _, _ in answers} <= {200, 429}, answers[0][1][:300]
        assert probe.longest_silence < LONGEST_SILENCE


@pytest.fixture(scope="module")
def small_service(models: Path) -> Iterator[RunningService]:
    """A service with low bounds."""
    with RunningService(
        models,
        *("--default-language-model", "words", "--max-tokens", "50", "--max-choices", "5"),
        *("--max-texts", "3", "--max-deadline-ms", "9000", "--max-state-characters", "700"),
        *("--max-rows", "4", "--max-logprobs", "120", "--max-explained-work", "30"),
    ) as running:
        yield running


EXAMPLES: dict[str, dict[str, Any]] = {
    "/generate": {"prompt": "When", "max_tokens": 1, "echo": True},
    "/next-word": {"prompt": "When"},
    "/score": {"texts": ["The"]},
    "/classify": {"text": "The"},
}


@pytest.mark.parametrize("path", EXAMPLES)
def test_schema_has_the_configured_bounds(small_service: RunningService, path: str) -> None:
    """Each bounded field of the schema is accepted at its bounds and refused beyond them."""
    schema = small_service.client.get("/openapi.json").json()
    body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    properties = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
    checked = 0
    for name, described in properties.items():
        for kind in described.get("anyOf", [described]):
            for at_bound, beyond in _edges(kind):
                rest = {key: value for key, value in EXAMPLES[path].items() if key != name}
                if name == "texts":
                    rest.pop("text", None)
                accepted = small_service.post(path, {**rest, name: at_bound})
                over_bound = accepted.status_code not in {200, 400, 404, 504}
                if over_bound and name == "state":  # within the bound, and not for this model
                    over_bound = "both directions" not in accepted.text
                assert not over_bound, (name, at_bound, accepted.text)
                refused = small_service.post(path, {**rest, name: beyond})
                assert refused.status_code == 422, (name, beyond)
                assert (error_of(refused)["param"] or "").partition(".")[0] == name
                checked += 1
    assert checked >= 2


def _edges(kind: dict[str, Any]) -> Iterator[tuple[object, object]]:
    """For each bound of a field, a value at it and one beyond it."""
    for keyword, step in (("maximum", 1), ("minimum", -1)):
        if keyword in kind:
            number = int(kind[keyword]) if kind["type"] == "integer" else kind[keyword]
            yield number, number + step
    for keyword, step in (("maxLength", 1), ("maxItems", 1), ("minLength", -1), ("minItems", -1)):
        if keyword in kind:
            member: Any = "x" if kind["type"] == "string" else ["dog"]
            yield member * kind[keyword], member * (kind[keyword] + step)


def test_bounds_of_the_operator_are_reported(small_service: RunningService) -> None:
    """The schema states the bounds of this service's settings."""
    schemas = small_service.client.get("/openapi.json").json()["components"]["schemas"]
    generate = schemas["GenerateRequest"]["properties"]

    def bound(field: dict[str, Any], keyword: str) -> Any:
        kinds = field.get("anyOf", [field])
        return next(kind[keyword] for kind in kinds if keyword in kind)

    assert bound(generate["max_tokens"], "maximum") == 50
    assert bound(generate["n"], "maximum") == 4  # no more than rows
    assert bound(generate["state"], "maxLength") == 700
    assert bound(generate["deadline_ms"], "maximum") == 9000
    for name in ("ScoreRequest", "ClassifyRequest"):
        assert bound(schemas[name]["properties"]["texts"], "maxItems") == 3


@pytest.mark.parametrize(
    ("fields", "accepted"),
    [
        ({"max_tokens": 20, "logprobs": 5}, True),
        ({"max_tokens": 20, "logprobs": 6}, False),
        ({"max_tokens": 10, "logprobs": 5, "n": 2}, True),
        ({"max_tokens": 11, "logprobs": 5, "n": 2}, False),
        ({"max_tokens": 10, "logprobs": 5, "prompt": "The dog" + " keys" * 8, "echo": True}, True),
        ({"max_tokens": 10, "logprobs": 5, "prompt": "The dog" + " keys" * 9, "echo": True}, False),
        ({"max_tokens": 50, "n": 4}, True),
    ],
)
def test_log_probabilities_are_bounded(
    small_service: RunningService, fields: dict[str, Any], accepted: bool
) -> None:
    """Tokens times alternatives times choices, at the bound and over it, whole and streamed."""
    for stream in (False, True):
        response = small_service.post("/generate", {**fields, "stream": stream})
        assert response.status_code == (200 if accepted else 422), response.text
        if not accepted:
            assert error_of(response)["param"] == "logprobs"
            assert "120" in error_of(response)["message"]


def test_explanations_are_bounded_by_their_work(small_service: RunningService) -> None:
    """A text of six words takes six readings of five; one word more is too much."""
    assert small_service.post("/classify", {"text": "dog " * 6, "explain": True}).status_code == 200
    refused = small_service.post("/classify", {"text": "dog " * 7, "explain": True})
    assert refused.status_code == 422
    assert error_of(refused)["param"] == "explain"
    assert "30" in error_of(refused)["message"]


def test_scored_tokens_are_bounded_in_all(small_service: RunningService) -> None:
    """The texts of a /score have a bounded number of tokens together."""
    assert small_service.post("/score", {"texts": ["dog" * 1, " dog" * 119]}).status_code == 200
    refused = small_service.post("/score", {"texts": [" dog" * 60, " dog" * 61]})
    assert refused.status_code == 422
    assert error_of(refused)["param"] == "texts"


@pytest.mark.parametrize("path", EXAMPLES)
def test_null_is_not_given(service: RunningService, path: str) -> None:
    """Every optional field of every request may be null, which means that it is not given."""
    schema = service.client.get("/openapi.json").json()
    body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    fields = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    optional = set(fields["properties"]) - set(fields.get("required", []))
    example = EXAMPLES[path]
    for name in optional - set(example):
        assert {"type": "null"} in fields["properties"][name]["anyOf"], name
        assert service.post(path, {**example, name: None}).status_code == 200, name
    nothing = dict.fromkeys(optional - set(example))
    assert service.post(path, {**example, **nothing}).status_code == 200
    for name in fields.get("required", []):
        assert service.post(path, {**example, name: None}).status_code == 422


def test_stop_is_a_list_or_one_string(service: RunningService) -> None:
    """One string is the same as a list of it."""
    fields = {"prompt": "When", "max_tokens": 30, "seed": 5}
    stop = service.text(**fields).split()[7]
    assert service.text(**fields, stop=stop) == service.text(**fields, stop=[stop])
    assert service.text(**fields, stop=stop) != service.text(**fields)


STRINGS = ['"\\ud800"', '"\\udfff x"', '"a\\ud83d"', '["\\ud800"]', '{"\\ud800":"\\ud800"}']


@pytest.mark.parametrize("path", EXAMPLES)
def test_halves_of_characters_are_refused(service: RunningService, path: str) -> None:
    """Half a surrogate pair in a field or a field name is a 4xx of the one shape."""
    schema = service.client.get("/openapi.json").json()
    body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    names = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]["properties"]
    for name in [*names, "\\ud800", "x\\udc00"]:
        for value in STRINGS:
            rest = {key: item for key, item in EXAMPLES[path].items() if key != name}
            content = json.dumps(rest)[:-1] + ("," if rest else "") + f'"{name}":{value}}}'
            response = service.client.post(
                path, content=content, headers={"Content-Type": "application/json"}
            )
            assert response.status_code in {400, 404, 422}, (name, value, response.text)
            error_of(response)
