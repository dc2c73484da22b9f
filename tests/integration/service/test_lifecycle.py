"""Start, overload and end of the process."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from service.backend.settings import Settings
from tests.support.service.process import PATIENCE, RunningService, error_of, eventually, run_to_end


def test_banner_lists_models_and_examples(service: RunningService) -> None:
    """The banner has the address, the playground, each model, and curl commands for the served
    kinds.
    """
    assert "Open it in a browser" in service.output
    for expected in ("words", "sentiment", "curl", "/generate", "/classify", str(service.port)):
        assert expected in service.output


def test_bad_artifacts_do_not_harm_the_others(models: Path, tmp_path: Path) -> None:
    """A damaged artifact and a duplicate name are refused by name; the other models are served."""
    for name in ("words", "chars", "sentiment"):
        shutil.copytree(models / name, tmp_path / name)
    shutil.copytree(models / "words", tmp_path / "words-again")
    weights = tmp_path / "chars" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    (tmp_path / "empty").mkdir()
    with RunningService(tmp_path) as service:
        names = [model["name"] for model in service.client.get("/models").json()["models"]]
        assert names == ["sentiment", "words"]
        assert str(weights) in service.output
        assert str(tmp_path / "empty") in service.output
        assert str(tmp_path / "words-again") in service.output
        assert service.text(max_tokens=2)


def test_one_artifact_can_be_served_by_itself(models: Path) -> None:
    """--models may be one artifact; a request for a kind that is not served is a 404."""
    with RunningService(models / "words") as service:
        assert [m["name"] for m in service.client.get("/models").json()["models"]] == ["words"]
        response = service.post("/classify", {"text": "a"})
        assert response.status_code == 404
        assert "classifier" in error_of(response)["message"]


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (["--models", "{tmp}/nowhere"], 1, "does not exist"),
        (["--models", "{tmp}/file"], 1, "does not exist"),
        (["--admin-port", "65536"], 2, "--admin-port"),
        (["--watch-seconds", "-1"], 2, "--watch-seconds"),
        (["--port", "70000"], 2, "--port"),
        (["--threads", "0"], 2, "--threads"),
        (["--threads", "1025"], 2, "--threads"),
        (["--log-level", "loud"], 2, "--log-level"),
        (["--models", "{models}", "--default-classifier", "words"], 1, "sentiment"),
        (["--models", "{models}", "--host", "256.0.0.1"], 1, "256.0.0.1"),
    ],
)
def test_start_errors_name_the_problem(
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    expected: str,
) -> None:
    """The error is printed in one line, with the right exit status."""
    (tmp_path / "file").touch()
    formatted = [word.format(tmp=tmp_path, models=models) for word in arguments]
    assert main(["--port", "0", *formatted]) == status
    assert expected in capsys.readouterr().err


def test_port_that_is_taken(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use is named, with the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["--models", str(models), "--port", port]) == 1
    message = capsys.readouterr().err
    assert port in message
    assert "--port" in message


def test_environment_sets_options(models: Path) -> None:
    """UNROLL_* variables set options; an invalid one is named, without a traceback."""
    ended = run_to_end("--models", str(models), UNROLL_MAX_ROWS="many")
    assert ended.returncode == 2
    assert "UNROLL_MAX_ROWS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_queue_full_is_a_429_with_a_time(narrow_service: RunningService) -> None:
    """With one row and one waiting place, the third request gets 429 with Retry-After; after the
    first one is cancelled, there is a place again.
    """
    service = narrow_service

    def rejected() -> float:
        return service.metric("unroll_rejected_total", model="words", reason="queue_full")

    before = rejected()
    enough = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        with service.streaming(max_tokens=1_000_000) as first:
            next(first)  # and the rest is read as it comes, or the stream would end as too slow
            reading = pool.submit(lambda: next((e for e in first if enough.is_set()), None))
            # Rows are shared by turns, so a short request would not wait for long.
            waiting = pool.submit(service.text, max_tokens=10_000)
            eventually(
                lambda: service.metric("unroll_sequences_waiting", model="words") == 1,
                "the second request waits",
            )
            for stream in (False, True):
                response = service.post("/generate", {"max_tokens": 1, "stream": stream})
                assert response.status_code == 429
                assert error_of(response)["type"] == "queue_full"
                assert int(response.headers["retry-after"]) >= 1
            assert rejected() == before + 2
            enough.set()
            assert reading.result(timeout=60)
        assert waiting.result(timeout=60)
    assert service.text(max_tokens=1)


def test_deadline_before_the_first_step_is_a_504(service: RunningService) -> None:
    """A request whose deadline passes before it has a row gets 504, also as a stream. Encoding
    the long prompt takes longer than the deadline.
    """
    prompt = "the keys to the cabinet " * 2_000
    for stream in (False, True):
        body = {"prompt": prompt, "max_tokens": 1, "deadline_ms": 1, "stream": stream}
        response = service.post("/generate", body)
        assert response.status_code == 504, response.text
        assert error_of(response)["type"] == "deadline_exceeded"


@pytest.mark.slow
def test_a_quiet_connection_outlives_the_pools_of_clients(service: RunningService) -> None:
    """Client pools keep idle connections for 5 seconds or more; closing them earlier would lose
    requests.
    """
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        for quiet in (0, 7):
            time.sleep(quiet)
            assert connection.sock is not None or quiet == 0
            connection.request("GET", "/health/ready")
            response = connection.getresponse()
            assert response.status == 200
            response.read()


def test_an_idle_connection_ends_after_the_configured_time(models: Path) -> None:
    """After --keep-alive-seconds the service closes it."""
    with (
        RunningService(models / "words", "--keep-alive-seconds", "1") as service,
        service.connect() as connection,
    ):
        connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
        received = b""
        while part := connection.recv(65536):
            received += part
        assert received.startswith(b"HTTP/1.1 200")


def test_drain_lets_streams_end(models: Path) -> None:
    """After SIGTERM a running stream completes, while new work and readiness get 503; then the
    process ends with status 0.
    """
    with RunningService(models, "--default-language-model", "words") as service:
        fields = {"max_tokens": 2000, "seed": 5}
        expected = service.text(**fields)
        with service.streaming(**fields) as events:
            text = next(events)["text"]
            service.signal(signal.SIGTERM)
            eventually(lambda: service.client.get("/health/ready").status_code == 503, "not ready")
            assert service.client.get("/health/live").status_code == 200
            response = service.post("/generate", {"max_tokens": 1})
            assert response.status_code == 503
            assert error_of(response)["type"] == "draining"
            assert response.headers["connection"] == "close"
            rest = list(events)
        assert rest[-1]["finish_reason"] == "length"
        assert text + "".join(event["text"] for event in rest[:-1]) == expected
        assert service.wait() == 0
        assert "Traceback" not in service.output


def test_drain_cuts_short_what_takes_too_long(models: Path) -> None:
    """After the drain time, a stream ends with the state that continues it, a whole answer fails
    as draining, and the process ends.
    """
    slow = ("--kernel", "torch", "--burst-steps", "1", "--max-tokens", "1000000")
    with RunningService(models, "--drain-seconds", "0.2", *slow) as service:
        fields = {"model": "words", "max_tokens": 1_000_000}
        with ThreadPoolExecutor(1) as pool, service.streaming(**fields) as events:
            whole = pool.submit(service.post, "/generate", fields)
            eventually(
                lambda: service.metric("unroll_sequences_running", model="words") == 2, "both run"
            )
            service.signal(signal.SIGINT)
            last = _last(events)
            refused = whole.result(timeout=60)
        assert last["finish_reason"] == "drained"
        assert last["state"]
        assert refused.status_code == 503
        assert error_of(refused)["type"] == "draining"
        assert refused.headers["connection"] == "close"
        assert service.wait() == 0
        assert "Traceback" not in service.output


def test_second_signal_ends_at_once(models: Path) -> None:
    """After a second signal the process does not wait for streams."""
    fields = {"model": "words", "max_tokens": 1_000_000}
    slow = ("--kernel", "torch", "--burst-steps", "1", "--max-tokens", "1000000")
    with RunningService(models, *slow) as service, service.streaming(**fields) as events:
        next(events)
        service.signal(signal.SIGTERM)
        eventually(lambda: service.client.get("/health/ready").status_code == 503, "draining")
        service.signal(signal.SIGTERM)
        service.wait()


def test_threads_are_as_many_as_configured() -> None:
    """--threads overrides the CPU quota."""
    assert Settings(threads=3).thread_count == 3


def _last(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    event: dict[str, Any] = {}
    for event in events:  # noqa: B007
        pass
    return event
