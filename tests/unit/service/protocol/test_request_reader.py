"""The request parser: against h11 as an oracle, in any pieces, and in linear time."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.protocol.errors import InvalidRequestError
from service.protocol.request_reader import RequestReader

LIMIT = 1 << 16
TOKEN = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=8)
VALUE = st.text('az09 ,;=\t"', max_size=12)
HEADERS = st.lists(st.tuples(TOKEN, VALUE), max_size=5)


@dataclass
class Read:
    """A parsed request."""

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


def read(pieces: list[bytes]) -> list[Read]:
    """The requests that the parser finds in the pieces."""
    reader = RequestReader(LIMIT)
    requests: list[Read] = []
    for piece in pieces:
        reader.feed(piece)
        while True:
            while requests and not reader.body_complete:
                data, complete = reader.body()
                requests[-1].body += data
                if not (data or complete):
                    break
            head = reader.head() if reader.body_complete else None
            if head is None:
                break
            line = head.line
            target = line.raw_path + (b"?" + line.query if line.query else b"")
            requests.append(Read(line.method, target, head.headers, b""))
    return requests


def read_by_h11(data: bytes) -> list[Read]:
    """The requests that h11 finds before the first refused byte."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    while data.startswith(b"\r\n"):  # h11 refuses empty lines before a request
        data = data[2:]
    connection.receive_data(data)
    requests: list[Read] = []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return requests
        if isinstance(event, h11.Request):
            headers = [(bytes(name), bytes(value)) for name, value in event.headers]
            requests.append(Read(event.method.decode(), bytes(event.target), headers, b""))
        elif isinstance(event, h11.Data):
            requests[-1].body += event.data
        elif isinstance(event, h11.EndOfMessage):
            connection.send(h11.Response(status_code=204, headers=[]))
            connection.send(h11.EndOfMessage())
            if connection.our_state is h11.MUST_CLOSE:
                return requests
            connection.start_next_cycle()
        else:
            return requests


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The bytes in pieces."""
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A valid request, with a body of one of three kinds."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "made-up"]))
    target = draw(st.sampled_from(["/", "/a", "/a?b=c&d", "/%41", "//", "/a;b=c"]))
    lines = [f"{name}: {value}" for name, value in draw(HEADERS)]
    body = draw(st.binary(max_size=40))
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        parts = [part for part in cut(body, draw(st.lists(st.integers(0, 99)))) if part]
        extension = draw(st.sampled_from([b"", b";a", b';a="b"']))
        framed = [b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part in parts]
        body = b"".join(framed) + b"0\r\n" + draw(st.sampled_from([b"", b"A: b\r\n"])) + b"\r\n"
    else:
        body = b""
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: x", *lines, "", ""])
    return head.encode() + body


FRAMING = {"host", "content-length", "transfer-encoding", "connection", "expect"}


@settings(deadline=None)
@given(st.lists(requests(), min_size=1, max_size=3), st.lists(st.integers(0, 999), max_size=6))
def test_valid_requests_are_read_as_by_h11(sent: list[bytes], places: list[int]) -> None:
    """Several requests in any pieces give the methods, targets, headers and bodies of h11."""
    data = b"".join(sent)
    assert read(cut(data, places)) == read_by_h11(data)


BROKEN = st.builds(
    lambda data, place, noise: data[: place % len(data)] + noise + data[place % len(data) :],
    requests(),
    st.integers(0, 999),
    st.sampled_from([b"\r", b"\n", b"\0", b" ", b":", b"\r\n", b"\r\n\r\n", b"\xff", b"0", b"-"]),
)


@settings(deadline=None, max_examples=300)
@given(BROKEN, st.lists(st.integers(0, 999), max_size=4))
def test_broken_requests_are_refused_or_read_as_by_h11(data: bytes, places: list[int]) -> None:
    """With inserted bytes the parser refuses, or both agree; they never read different requests."""
    try:
        requests = read(cut(data, places))
    except InvalidRequestError:
        return
    assert requests == read_by_h11(data)


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(0, 999), max_size=4))
def test_any_bytes_in_any_pieces(data: bytes, places: list[int]) -> None:
    """Any bytes are parsed or refused, with the same result for any pieces."""

    def outcome(pieces: list[bytes]) -> list[Read] | int:
        try:
            return read(pieces)
        except InvalidRequestError as error:
            return error.status

    assert outcome([data]) == outcome(cut(data, places))


def test_very_many_chunks_are_given_in_parts() -> None:
    """One call never decodes more than a bounded number of chunks."""
    reader = RequestReader(LIMIT)
    reader.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert reader.head() is not None
    reader.feed(b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n")
    sizes = []
    complete = False
    while not complete:
        data, complete = reader.body()
        sizes.append(len(data))
    assert sum(sizes) == 10_000
    assert max(sizes) <= 1000


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nA: "])
def test_a_head_in_single_bytes_costs_no_more_than_its_length(begin: bytes) -> None:
    """A head of eight times the length, byte by byte, takes about eight times as long, not 64."""

    def seconds(length: int) -> float:
        reader = RequestReader(1 << 20)
        started = time.process_time()
        for byte in begin + b"a" * length:
            reader.feed(bytes([byte]))
            reader.head()
        return time.process_time() - started

    short, long = (min(seconds(length) for _ in range(3)) for length in (10_000, 80_000))
    assert long < 24 * short
