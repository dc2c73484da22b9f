"""A strict client on bare sockets, for requests that no HTTP client would send."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from tests.support.service.process import RunningService

PROBE = b"GET /models/words HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
_PAUSE = 0.03  # long enough for the pieces to arrive apart; nothing fails if they do not


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error, which must have the one shape."""
        body = json.loads(self.body)
        assert set(body) == {"error"}, body
        assert set(body["error"]) == {"type", "message", "param"}, body
        error: dict[str, Any] = body["error"]
        return error


def received(service: RunningService, *pieces: bytes, half_close: bool = False) -> bytes:
    """All bytes until the service closes the connection."""
    with service.connect() as connection:
        for number, piece in enumerate(pieces):
            if number:
                time.sleep(_PAUSE)
            connection.sendall(piece)
        if half_close:
            connection.shutdown(1)
        answer = bytearray()
        while part := connection.recv(1 << 16):
            answer += part
    return bytes(answer)


def answers(data: bytes, *, without_body: tuple[int, ...] = ()) -> list[Answer]:
    """The responses in order; ``without_body`` has the indices of those to HEAD."""
    responses: list[Answer] = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, head
        status, headers = _head(head)
        if status == 100:
            responses.append(Answer(status, headers, b""))
            continue
        body = b""
        if len(responses) not in without_body and status != 204:
            body, data = _body(headers, data)
        responses.append(Answer(status, headers, body))
    return responses


def ask(service: RunningService, *pieces: bytes) -> list[Answer]:
    """The responses to these bytes and, if the connection is kept, to a valid request after
    them.
    """
    return answers(received(service, *pieces, PROBE))


def is_probe(answer: Answer) -> bool:
    """Whether it is the response to the valid request that ``ask`` appends."""
    return answer.status == 200 and b'"name":"words"' in answer.body


def _head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    assert version == "HTTP/1.1"
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        assert name not in headers, f"{name} twice"
        headers[name] = value
    return int(status), headers


def _body(headers: dict[str, str], data: bytes) -> tuple[bytes, bytes]:
    if "content-length" in headers:
        assert "transfer-encoding" not in headers
        length = int(headers["content-length"])
        assert len(data) >= length
        return data[:length], data[length:]
    if "transfer-encoding" not in headers:
        assert headers["connection"] == "close"
        return data, b""
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        part, ending, data = (
            data[: int(size, 16)],
            data[int(size, 16) :][:2],
            data[int(size, 16) + 2 :],
        )
        assert ending == b"\r\n"
        body += part
        if not part:
            return body, data
