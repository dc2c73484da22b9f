"""Clients that do not read their responses."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.service.process import RunningService, eventually

pytestmark = pytest.mark.slow

HEAVY: dict[str, Any] = {"model": "chars", "max_tokens": 8_000, "logprobs": 20, "seed": 1}


@pytest.fixture
def impatient_service(models: Path) -> Iterator[RunningService]:
    """A service with a write limit of a second and memory for a few large answers."""
    with RunningService(
        models,
        *("--default-language-model", "words", "--write-seconds", "1"),
        *("--max-answers-bytes", str(80 * 2**20), "--stream-buffer-bytes", str(64 * 2**20)),
    ) as running:
        yield running


def ask_and_never_read(service: RunningService, path: str, body: dict[str, Any]) -> socket.socket:
    """A connection with a sent request and a small receive buffer."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    connection.connect(("127.0.0.1", service.port))
    content = json.dumps(body).encode()
    connection.sendall(
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" % path.encode()
        + b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
    )
    return connection


@pytest.mark.parametrize("stream", [False, True])
def test_client_that_reads_nothing_is_cut_off(
    impatient_service: RunningService, stream: bool
) -> None:
    """An unread response, whole or streamed, is dropped after the time limit: counted, logged,
    and the connection reset.
    """
    service = impatient_service
    connection = ask_and_never_read(service, "/generate", {**HEAVY, "stream": stream})
    name = "unroll_slow_readers_total"
    eventually(lambda: service.metric(name, reason="no_progress") == 1, "it is cut off and counted")
    eventually(
        lambda: service.metric("unroll_requests_total", route="/generate", status="499") == 1,
        "the request counts as left by its client",
    )
    assert service.metric("unroll_sequences_running", model="chars") == 0
    received = bytearray()
    with connection, contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 20):
            received += part
    assert received.count(b'"logprob"') < 21 * 8_000
    eventually(lambda: "was disconnected" in service.output, "the log tells")


def test_unread_answers_are_refused_further_ones(models: Path) -> None:
    """While completed answers are unread, further large ones get 429; a small one is accepted."""
    with RunningService(models, "--max-answers-bytes", str(120 * 2**20)) as service:
        connections = [ask_and_never_read(service, "/generate", HEAVY) for _ in range(2)]
        eventually(
            lambda: (
                service.metric("unroll_sequences_finished_total", model="chars", reason="length")
                == 2
            ),
            "both answers are complete",
        )
        refused = service.post("/generate", {**HEAVY})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert service.post("/generate", {"model": "words", "max_tokens": 5}).status_code == 200
        for connection in connections:
            connection.close()
        eventually(
            lambda: service.post("/generate", {**HEAVY, "max_tokens": 7_000}).status_code == 200,
            "the places of clients that have gone are free",
        )


def test_slow_client_gets_all_of_its_stream(service: RunningService) -> None:
    """A client that reads slowly is not disconnected."""
    body = {"model": "chars", "max_tokens": 500, "logprobs": 2, "stream": True, "seed": 1}
    received = bytearray()
    with ask_and_never_read(service, "/generate", body) as connection:
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(1 << 11)
    assert received.count(b'"token":') == 500


def test_stream_that_falls_behind_ends_with_an_error(models: Path) -> None:
    """The buffer of a client is bounded in bytes and its pause in time. After that the unread
    events are replaced by an error, and the task is cancelled and counted.
    """
    options = ("--stream-buffer-bytes", str(1 << 16), "--pause-seconds", "1")
    with RunningService(models, *options) as service:
        body = {**HEAVY, "stream": True}
        with ask_and_never_read(service, "/generate", body) as connection:
            name = "unroll_slow_readers_total"
            eventually(lambda: service.metric(name, reason="buffer_full") == 1, "it is given up")
            received = bytearray()
            while not received.endswith(b"0\r\n\r\n"):
                part = connection.recv(1 << 16)
                assert part, received[-200:]
                received += part
        assert b'"slow_reader"' in received.rpartition(b"data: ")[2]
        assert received.count(b'"token":') < 8_000


def test_generation_pauses_while_its_client_does_not_read(models: Path) -> None:
    """With a full buffer the sequence has no row, and others run. Once the client reads, it gets
    the same text as without a pause, of any length, and nothing counts as slow.
    """
    options = ("--stream-buffer-bytes", str(1 << 16), "--max-tokens", "40000")
    with RunningService(models, "--default-language-model", "words", *options) as service:
        body = {"model": "words", "max_tokens": 40_000, "stream": True, "seed": 3}
        expected = service.text(**{**body, "stream": False})
        with ask_and_never_read(service, "/generate", body) as connection:

            def paused() -> bool:
                generated = service.metric("unroll_generated_tokens_total", model="words")
                running = service.metric("unroll_sequences_running", model="words")
                return running == 0 and 40_000 < generated < 80_000

            eventually(paused, "the sequence has no row and is not complete")
            assert service.post("/generate", {"max_tokens": 5}).status_code == 200
            received = bytearray()
            while not received.endswith(b"0\r\n\r\n"):
                part = connection.recv(1 << 16)
                assert part, received[-200:]
                received += part
        events = [json.loads(line[6:]) for line in received.split(b"\n") if line[:6] == b"data: "]
        assert "".join(event.get("text", "") for event in events) == expected
        assert events[-1]["usage"]["completion_tokens"] == 40_000
        assert service.metric("unroll_slow_readers_total", reason="buffer_full") == 0


def test_clients_of_paused_generations_leave_nothing_behind(models: Path) -> None:
    """A crowd of clients that never read takes no rows. When they leave, every place is free."""
    options = ("--stream-buffer-bytes", str(1 << 14), "--max-rows", "8", "--max-waiting", "56")
    with RunningService(models, "--default-language-model", "words", *options) as service:
        body = {"model": "words", "max_tokens": 8_000, "stream": True, "logprobs": 20}
        crowd = [ask_and_never_read(service, "/generate", body) for _ in range(64)]

        def loads() -> list[float]:
            names = ("unroll_sequences_running", "unroll_sequences_waiting")
            return [service.metric(name, model="words") for name in names]

        def all_paused() -> bool:
            generated = service.metric("unroll_generated_tokens_total", model="words")
            return loads() == [0, 0] and generated > 64

        eventually(all_paused, "all are paused")
        assert service.post("/generate", {"max_tokens": 1}).status_code == 429
        for connection in crowd:
            connection.close()
        name = "unroll_sequences_finished_total"
        eventually(
            lambda: service.metric(name, model="words", reason="cancelled") == 64, "all have left"
        )
        assert service.post("/generate", {"max_tokens": 1}).status_code == 200
