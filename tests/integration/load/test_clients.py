"""API keys from a file and rate limits, over real sockets."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.support.service.process import RunningService, error_of, eventually, run_to_end

pytestmark = pytest.mark.slow


def line(name: str, key: str, limits: str = "") -> str:
    """A line of the file of keys."""
    return f"{name} sha256:{hashlib.sha256(key.encode()).hexdigest()} {limits}\n"


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of keys that the service reads."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(
        line("open", "key-open")
        + line("slow", "key-slow", "requests_per_second=2")
        + line("brief", "key-brief", "tokens_per_second=100")
        + line("curious", "key-curious", "tokens_per_second=20")
        + line("few", "key-few", "concurrent_requests=2")
    )
    return path


@pytest.fixture(scope="module")
def keyed(models: Path, key_file: Path) -> Iterator[RunningService]:
    """A service with that file."""
    options = ("--default-language-model", "words", "--api-keys-file", str(key_file))
    with RunningService(models, *options) as running:
        yield running


def ask(service: RunningService, key: str | None, **fields: object) -> httpx.Response:
    """A /generate with a key."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return service.client.post("/generate", json={"max_tokens": 1, **fields}, headers=headers)


def models_status(service: RunningService, key: str) -> int:
    """The status of GET /models with a key."""
    return service.client.get("/models", headers={"X-API-Key": key}).status_code


def test_keys_of_the_file_are_required(keyed: RunningService) -> None:
    """A request needs a key of the file, and the digest is not a key."""
    assert ask(keyed, "key-open").status_code == 200
    digest = hashlib.sha256(b"key-open").hexdigest()
    for wrong in (None, "key", f"sha256:{digest}", digest):
        assert ask(keyed, wrong).status_code == 401
    assert "one of 5 is required" in keyed.output
    assert "security" in keyed.client.get("/openapi.json").json()


def test_keys_change_without_a_restart(keyed: RunningService, key_file: Path) -> None:
    """A new key is accepted and a removed one refused soon after the file has changed. A bad file
    is logged with its line and changes nothing.
    """
    before = key_file.read_text()
    key_file.write_text(before + line("late", "key-late"))
    eventually(lambda: models_status(keyed, "key-late") == 200, "the new key is accepted")
    key_file.write_text(before)
    eventually(lambda: models_status(keyed, "key-late") == 401, "the removed key is refused")
    key_file.write_text(before + "late key-late-in-clear\n")

    def is_told() -> bool:
        assert models_status(keyed, "key-open") == 200
        return f"{key_file}:6: expected NAME" in keyed.output

    eventually(is_told, "the line is named")
    assert "in-clear" not in keyed.output
    key_file.write_text(before)


def test_requests_above_the_rate_are_refused_until_the_time_told(keyed: RunningService) -> None:
    """A client gets 429 when it exceeds its rate, and after Retry-After it is answered. Requests
    of other keys and health checks are not limited.
    """
    statuses = []
    for _ in range(20):
        response = ask(keyed, "key-slow")
        statuses.append(response.status_code)
        if response.status_code == 429:
            break
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert error_of(response)["type"] == "rate_limited"
    assert keyed.metric("unroll_rejected_total", model="", reason="rate_limited") >= 1
    assert ask(keyed, "key-open").status_code == 200
    assert keyed.client.get("/health/ready", headers={"X-API-Key": "key-slow"}).status_code == 200
    time.sleep(int(response.headers["retry-after"]))
    assert ask(keyed, "key-slow").status_code == 200


def test_tokens_above_the_rate_are_refused_until_the_time_told(keyed: RunningService) -> None:
    """A request is charged max_tokens, and gets back what it did not use."""
    assert ask(keyed, "key-brief", max_tokens=200, seed=1).status_code == 200
    response = ask(keyed, "key-brief", max_tokens=1)
    assert response.status_code == 429
    assert error_of(response)["type"] == "rate_limited"
    assert keyed.metric("unroll_rejected_total", model="words", reason="rate_limited") >= 1
    time.sleep(int(response.headers["retry-after"]))
    assert ask(keyed, "key-brief", max_tokens=1).status_code == 200
    time.sleep(2.1)  # the bucket is full again
    stopped = ask(keyed, "key-brief", model="brief", max_tokens=5_000, seed=7)
    assert stopped.json()["choices"][0]["finish_reason"] == "end"
    assert stopped.json()["usage"]["completion_tokens"] < 50
    assert ask(keyed, "key-brief", max_tokens=1).status_code == 200


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/inspect", {"text": "The keys to the cabinet " * 5}),
        ("/inspect/generate", {"clamp": [{"layer": 0, "unit": 1, "value": 1.0}], "max_tokens": 12}),
    ],
)
def test_inspections_are_charged_as_tokens(
    keyed: RunningService, path: str, fields: dict[str, object]
) -> None:
    """The tokens of an inspection count for the rate of its client. One that is refused for another
    reason is not charged.
    """
    headers = {"X-API-Key": "key-curious"}
    for _ in range(3):
        long = keyed.client.post("/inspect", json={"text": "keys " * 3_000}, headers=headers)
        assert long.status_code == 422
    assert keyed.client.post(path, json=fields, headers=headers).status_code == 200
    refused = keyed.client.post(path, json=fields, headers=headers)
    assert refused.status_code == 429
    assert error_of(refused)["type"] == "rate_limited"
    time.sleep(int(refused.headers["retry-after"]))
    assert ask(keyed, "key-curious").status_code == 200
    time.sleep(1.1)  # the bucket is full again


def test_requests_at_a_time_are_bounded(keyed: RunningService) -> None:
    """A client with as many open streams as it may have gets 429 for a further request of any kind,
    until one of them is left. Other clients are answered.
    """
    headers = {"X-API-Key": "key-few"}
    body = {"max_tokens": 8_000, "stream": True}

    def status(path: str, fields: dict[str, object] | None) -> int:
        method = "GET" if fields is None else "POST"
        response = keyed.client.request(method, path, json=fields, headers=headers)
        if response.status_code == 429:
            assert error_of(response)["type"] == "concurrency_limited"
            assert int(response.headers["retry-after"]) >= 1
        return response.status_code

    def is_answered(path: str, fields: dict[str, object] | None) -> bool:
        return status(path, fields) == 200

    kinds: list[tuple[str, dict[str, object] | None]] = [
        ("/generate", {"max_tokens": 1}),
        ("/v1/completions", {"model": "words", "prompt": "The", "max_tokens": 1}),
        ("/inspect", {"text": "The"}),
        ("/models", None),
    ]
    kept: list[Iterator[str]] = []
    with contextlib.ExitStack() as streams:
        for _ in range(2):
            stream = keyed.client.stream("POST", "/generate", json=body, headers=headers)
            lines = streams.enter_context(stream).iter_lines()
            next(lines)
            kept.append(lines)  # its end would close the stream
        for path, fields in kinds[:1] + kinds[2:]:
            assert status(path, fields) == 429, path
        openai = keyed.client.post(kinds[1][0], json=kinds[1][1], headers=headers)
        assert openai.status_code == 429
        assert openai.json()["error"]["code"] == "concurrency_limited"
        assert keyed.metric("unroll_rejected_total", model="", reason="concurrency_limited") >= 4
        assert ask(keyed, "key-open").status_code == 200
    for path, fields in kinds:
        eventually(partial(is_answered, path, fields), path)


def test_a_bad_file_of_keys_prevents_the_start(models: Path, tmp_path: Path) -> None:
    """The error names the file and the line, with exit status 1, and nothing is served."""
    path = tmp_path / "keys"
    path.write_text("# keys\nweb 12\n")
    ended = run_to_end("--models", str(models), "--port", "0", "--api-keys-file", str(path))
    assert ended.returncode == 1
    assert f"{path}:2: expected NAME" in ended.stderr
    assert "Traceback" not in ended.stderr
    ended = run_to_end("--models", str(models), "--port", "0", "--tokens-per-second", "0")
    assert ended.returncode == 2
    assert "--tokens-per-second" in ended.stderr
