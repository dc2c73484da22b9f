"""Slow, silent, endless and too many connections, and their effect on others."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.service.probe import Probe
from tests.support.service.process import RunningService, eventually
from tests.support.service.raw_http import PROBE, answers, is_probe

pytestmark = pytest.mark.slow

LIMIT = 8
UNREAD = (
    *("--stream-buffer-bytes", str(1 << 30), "--max-answers-bytes", str(1 << 40)),
    *("--max-logprobs", str(10**9)),
)
GET = b"GET /models HTTP/1.1\r\nHost: x\r\n\r\n"


class FewDescriptors(RunningService):
    """A service with a limit on open files."""

    def __init__(self, models: Path, descriptors: int) -> None:
        super().__init__(models)
        limit = f'ulimit -n {descriptors}; exec "$@"'
        self._command = ["sh", "-c", limit, "sh", *self._command]


@pytest.fixture(scope="module")
def impatient(models: Path) -> Iterator[RunningService]:
    """A service with time limits of a second and few connections."""
    with RunningService(
        models,
        *("--head-seconds", "1", "--body-seconds", "1", "--write-seconds", "1"),
        *("--max-connections", str(LIMIT), "--default-language-model", "words"),
        *("--max-tokens", "1000000", *UNREAD),
    ) as running:
        yield running


def read_all(connection: socket.socket) -> bytes:
    """The bytes that arrive until the service closes the connection."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            data += part
    return bytes(data)


def is_live(service: RunningService) -> bool:
    """Whether /health/live answers on a new connection."""
    with service.connect() as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return read_all(connection).startswith(b"HTTP/1.1 200 ")


def test_a_silent_connection_is_closed(impatient: RunningService) -> None:
    """A silent connection is closed without a response."""
    with impatient.connect() as connection:
        assert read_all(connection) == b""


@pytest.mark.parametrize("begun", [b"G", GET[:-2], GET + b"GET /"])
def test_a_head_that_does_not_end_times_out(impatient: RunningService, begun: bytes) -> None:
    """An incomplete head gets 408, also the second one of a connection."""
    with impatient.connect() as connection:
        connection.sendall(begun)
        last = answers(read_all(connection))[-1]
    assert (last.status, last.headers["connection"]) == (408, "close")
    assert last.error["type"] == "request_timeout"


def test_a_byte_now_and_then_does_not_help(impatient: RunningService) -> None:
    """The time limit starts with the first byte of a head."""
    with impatient.connect() as connection:
        connection.settimeout(0.1)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        data = b""
        with contextlib.suppress(ConnectionError):
            for number in range(600):
                connection.sendall(b"A: b\r\n" if number % 2 else b"C: d\r\n")
                with contextlib.suppress(TimeoutError):
                    data = connection.recv(1 << 16)
                    break
    assert data.startswith(b"HTTP/1.1 408 ")


def test_a_body_nobody_waits_for_ends_the_connection(impatient: RunningService) -> None:
    """After the response, the rest of a body has a time limit; then the connection is closed."""
    with impatient.connect() as connection:
        connection.sendall(GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 100\r\n\r\n{"))
        (answer,) = answers(read_all(connection))
    assert answer.status == 200


def test_a_slow_body_is_waited_for_in_vain(impatient: RunningService) -> None:
    """An incomplete body gets 408, and the connection is closed."""
    with impatient.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
        )
        (answer,) = answers(read_all(connection))
    assert answer.status == 408


def test_an_answer_that_nobody_reads_is_cut(impatient: RunningService) -> None:
    """A client that does not read is disconnected after --write-seconds, and its work ends."""
    body = b'{"max_tokens":1000000,"stream":true,"logprobs":5}'
    with impatient.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        eventually(
            lambda: impatient.metric("unroll_sequences_running", model="words") == 1, "running"
        )
        process = psutil.Process(impatient.process.pid)
        port = connection.getsockname()[1]

        def is_open() -> bool:
            return any(getattr(c.raddr, "port", None) == port for c in process.net_connections())

        eventually(lambda: not is_open(), "disconnected")
        eventually(
            lambda: impatient.metric("unroll_sequences_running", model="words") == 0, "ended"
        )


def test_a_long_answer_to_a_slow_reader_is_sent_whole(impatient: RunningService) -> None:
    """A last answer may take longer than --write-seconds, as long as the client reads it."""
    body = b'{"max_tokens":8000,"logprobs":20,"seed":1}'
    with impatient.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        data = bytearray()
        while part := connection.recv(1 << 18):
            data += part
            time.sleep(0.02)
    (answer,) = answers(bytes(data))
    assert answer.status == 200


@pytest.mark.parametrize(
    "begin",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nA: ",
        b"GET /",
        b"A",
        b"POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
    ],
)
def test_an_endless_head_takes_no_memory(service: RunningService, begin: bytes) -> None:
    """Sixty megabytes without a line ending are refused at 64 KB and not kept."""
    process = psutil.Process(service.process.pid)
    before = process.memory_info().rss
    with service.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(begin)
            for _ in range(60):
                connection.sendall(b"a" * (1 << 20))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 431 ")
    assert process.memory_info().rss - before < 30 << 20
    assert is_live(service)


def test_endless_header_lines_are_refused(service: RunningService) -> None:
    """Short header lines without end are refused as well."""
    with service.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200_000)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 431 ")


def test_head_limit_is_exact(models: Path) -> None:
    """A head of --max-head-bytes is accepted, and one more byte is a 431."""
    with RunningService(models / "words", "--max-head-bytes", "1024") as service:
        for length, status in ((1024, 200), (1025, 431)):
            head = b"GET /models HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: "
            with service.connect() as connection:
                connection.sendall(head.ljust(length, b"a") + b"\r\n\r\n")
                (answer,) = answers(read_all(connection))
            assert answer.status == status


def test_silent_connections_lock_nobody_out(impatient: RunningService) -> None:
    """Far more silent or incomplete connections than the limit do not block others."""
    for begun in (b"", b"GET / HT", GET):
        with contextlib.ExitStack() as stack:
            for _ in range(10 * LIMIT):
                connection = stack.enter_context(impatient.connect())
                connection.sendall(begun)
            with impatient.connect() as connection:
                connection.sendall(PROBE)
                (answer,) = answers(read_all(connection))
            assert is_probe(answer)


def test_too_many_running_requests(models: Path) -> None:
    """If every connection has a request, a new one gets 503 with Retry-After, /health is still
    answered, one line is logged, and afterwards the service is as before.
    """
    with RunningService(
        models / "words",
        *("--max-connections", str(LIMIT), "--max-tokens", "1000000"),
        *("--kernel", "torch", "--burst-steps", "1", *UNREAD),
    ) as service:
        with contextlib.ExitStack() as stack:
            fields = {"max_tokens": 1_000_000}
            streams = [stack.enter_context(service.streaming(**fields)) for _ in range(LIMIT)]
            for events in streams:
                next(events)
            for _ in range(30):
                with service.connect() as connection:
                    connection.sendall(PROBE)
                    (answer,) = answers(read_all(connection))
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert answer.error["type"] == "too_many_connections"
            assert is_live(service)
        assert service.output.count("connections refused with 503") == 1
        eventually(lambda: service.client.get("/models").status_code == 200, "answers again")


def test_few_descriptors_lock_nobody_out(models: Path) -> None:
    """With fewer descriptors than connections, the limit is lowered and logged at the start."""
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(FewDescriptors(models / "words", 96))
        assert "connections are limited to 48" in service.output
        for _ in range(150):
            stack.enter_context(service.connect())
        assert is_live(service)
        assert service.text(max_tokens=1)


def test_very_many_chunks(service: RunningService) -> None:
    """A body of a hundred thousand chunks is read in parts, and completely."""
    body = b'f\r\n{"max_tokens":1\r\n1\r\n}\r\n' + b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n"
    with service.connect() as connection:
        connection.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + body
        )
        assert is_live(service)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")


ENDLESS = {
    "requests that nobody waits for": (b"", b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
    "bodies that nobody wants": (b"", b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"),
    "empty lines": (b"", b"\r\n"),
    "chunks of a byte": (
        b"POST /generate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\na\r\n",
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_requests_do_not_delay_others(service: RunningService, name: str) -> None:
    """A client that sends endless data does not delay others, and memory does not grow."""
    begin, again = ENDLESS[name]
    probe = Probe(service)
    with probe.watching(), service.connect() as connection:
        connection.settimeout(0.5)
        until = time.monotonic() + 3
        with contextlib.suppress(OSError):
            connection.sendall(begin)
            while time.monotonic() < until:
                connection.sendall(again * (65536 // len(again)))
    assert probe.longest_silence < 0.5
    assert probe.peak_bytes - probe.before_bytes < 100 * 2**20


def test_bodies_that_do_not_come_lock_nobody_out(impatient: RunningService) -> None:
    """A connection whose request has no body yet is closed for a new one."""
    head = b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(5 * LIMIT):
            stack.enter_context(impatient.connect()).sendall(head)
        assert is_live(impatient)
        with impatient.connect() as connection:
            connection.sendall(PROBE)
            (answer,) = answers(read_all(connection))
        assert is_probe(answer)


def test_ipv4_clients_of_an_ipv6_socket_keep_their_addresses(models: Path) -> None:
    """IPv4 clients of an IPv6 socket are distinguished and match IPv4 networks."""
    with RunningService(models / "words", "--host", "::") as service:
        assert is_live(service)
        eventually(lambda: " 127.0.0.1 GET /health/live" in service.output, "logged")
