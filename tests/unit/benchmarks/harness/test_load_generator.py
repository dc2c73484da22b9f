"""What the load generator counts: marks cut anywhere, pieces, gaps of two kinds."""

import argparse
import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.harness.load_generator import Request, Tally, count_new, run
from benchmarks.peers.canned import HEAD, Answering, pieces_of

ANSWER = b"".join(pieces_of(20, 8))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_marks_are_counted_wherever_the_stream_is_cut(size: int) -> None:
    """Once each, in pieces of any size."""
    tail, count = b"", 0
    for begin in range(0, len(ANSWER), size):
        piece = ANSWER[begin : begin + size]
        count += count_new(tail, piece, b"data:")
        tail = (tail + piece)[-15:]
    assert count == 21


async def request() -> Request:
    """One that has not begun, with time left."""
    return Request(b"", b"data:", Tally())


def test_a_stream_has_its_mean_gap_and_its_gaps_between_pieces() -> None:
    """8 tokens at 1 s, 8 at 3 s, 4 at 4 s: 12 came after the first piece, within 3 s."""
    one = asyncio.run(request())
    one.begun = 0.5
    for tokens, now in [(8, 1.0), (8, 3.0), (4, 4.0)]:
        one.count(tokens, now)
    one.close()
    assert one.tally.first_tokens == [0.5]
    assert one.tally.piece_gaps == [2.0, 1.0]
    assert one.tally.stream_gaps == [pytest.approx(3 / 12)]
    assert (one.tally.tokens, one.tally.pieces) == (20, 3)


def test_the_last_line_is_no_token() -> None:
    """The line that says why a stream ended is not counted."""
    one = asyncio.run(request())
    one.data_received(HEAD + ANSWER)
    assert one.tally.tokens == 20


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n"])
def test_an_answer_that_breaks_off_is_no_answer(end: bytes) -> None:
    """A body in chunks ends with the empty one; a server that failed midway does not send it."""
    one = asyncio.run(request())
    one.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\ndata: \n\r\n")
    one.data_received(end)
    one.connection_lost(None)
    assert (one.done.exception() is None) == bool(end)
    assert one.tally.requests == bool(end)


def test_what_comes_too_late_is_not_counted() -> None:
    """After the deadline nothing changes the tally."""
    one = asyncio.run(request())
    one.tally.deadline = 0.0
    one.data_received(HEAD + ANSWER)
    assert one.tally == Tally(deadline=0.0)


def test_canned_streams_hold_what_they_say() -> None:
    """As many tokens as asked for, so many in each write, and a last line."""
    pieces = pieces_of(20, 8)
    assert [piece.count(b"data:") for piece in pieces] == [8, 8, 5]
    assert pieces[-1].count(b'"finish_reason"') == 1


def test_it_counts_what_a_server_sends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three clients that ask twice get every token of six canned streams."""
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text(json.dumps({"prompt": "a"}), encoding="utf-8")

    async def both() -> dict[str, int]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answering(pieces_of(20, 8)), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            options = {"host": "127.0.0.1", "port": port, "path": "/", "mark": "data:"}
            limits = {"bodies": bodies, "streams": 3, "seconds": 30.0, "longest": 0, "rounds": 2}
            return await run(argparse.Namespace(**options, **limits))

    found = asyncio.run(both())
    assert (found["tokens"], found["requests"]) == (120, 6)
    assert capsys.readouterr().out == "\n"
