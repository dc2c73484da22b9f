"""The load generator counts tokens, writes, requests and two kinds of gaps."""

import argparse
import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.load_generator import (
    ARRIVALS_SEED,
    LoadCounts,
    StreamingRequest,
    count_new_marks,
    run_streams,
)
from benchmarks.peers.canned import HEAD, CannedResponse, writes_of

ANSWER = b"".join(writes_of(20, 8))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
def test_marks_are_counted_wherever_the_stream_is_cut(size: int) -> None:
    """Marks are counted once, in pieces of any size."""
    tail, count = b"", 0
    for begin in range(0, len(ANSWER), size):
        piece = ANSWER[begin : begin + size]
        count += count_new_marks(tail, piece, b"data:")
        tail = (tail + piece)[-15:]
    assert count == 21


async def request() -> StreamingRequest:
    """A request that is not sent yet, before the deadline."""
    return StreamingRequest(b"", b"data:", LoadCounts())


def test_a_stream_has_gaps_between_writes_and_a_gap_per_token() -> None:
    """8 tokens at 1 s, 8 at 3 s, 4 at 4 s: 12 tokens in the 3 s after the first write."""
    stream = asyncio.run(request())
    stream.start_time = 0.5
    for tokens, now in [(8, 1.0), (8, 3.0), (4, 4.0)]:
        stream.count_write(tokens, now)
    stream.count_stream()
    assert stream.counts.first_tokens == [0.5]
    assert stream.counts.piece_gaps == [2.0, 1.0]
    assert stream.counts.stream_gaps == [pytest.approx(3 / 12)]
    assert (stream.counts.tokens, stream.counts.pieces) == (20, 3)


def test_the_last_line_is_no_token() -> None:
    """The line with the finish reason is not counted as a token."""
    stream = asyncio.run(request())
    stream.data_received(HEAD + ANSWER)
    assert stream.counts.tokens == 20


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n"])
def test_an_incomplete_response_is_an_error(end: bytes) -> None:
    """A chunked body without its empty last chunk is an error and not counted as a request."""
    stream = asyncio.run(request())
    stream.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\ndata: \n\r\n")
    stream.data_received(end)
    stream.connection_lost(None)
    assert (stream.done.exception() is None) == bool(end)
    assert stream.counts.requests == bool(end)


def test_tokens_after_the_deadline_are_not_counted() -> None:
    """The counts do not change after the deadline."""
    stream = asyncio.run(request())
    stream.counts.deadline = 0.0
    stream.data_received(HEAD + ANSWER)
    assert stream.counts == LoadCounts(deadline=0.0)


def test_canned_streams_have_the_requested_writes() -> None:
    """Each write has the requested number of tokens; the rest comes with the last line."""
    pieces = writes_of(20, 8)
    assert [piece.count(b"data:") for piece in pieces] == [8, 8, 5]
    assert pieces[-1].count(b'"finish_reason"') == 1


def test_it_counts_all_tokens_of_a_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three clients with two requests each receive the 120 tokens of six canned streams."""
    counts = counts_of_canned_streams(tmp_path, streams=3, rounds=2, seconds=30.0, rate=0)
    assert (counts["tokens"], counts["requests"]) == (120, 6)
    assert capsys.readouterr().out == "\n"


def test_poisson_arrivals_are_read_to_their_ends(tmp_path: Path) -> None:
    """The arrivals of a tenth of a second at 200 a second all get their 20 tokens; their number
    is that of the fixed seed, whatever the load of the machine.
    """
    counts = counts_of_canned_streams(
        tmp_path, streams=1, rounds=0, seconds=0.1, rate=200.0, longest=30.0
    )
    gaps, arrivals, at = random.Random(ARRIVALS_SEED), 0, 0.0
    while (at := at + gaps.expovariate(200.0)) < 0.1:
        arrivals += 1
    assert arrivals > 5
    assert (counts["tokens"], counts["requests"]) == (20 * arrivals, arrivals)
    assert len(counts["first_tokens"]) == 2


def counts_of_canned_streams(directory: Path, **options: float) -> dict[str, Any]:
    """The counts of the generator with streams of 20 tokens."""
    bodies = directory / "bodies.jsonl"
    bodies.write_text(json.dumps({"prompt": "a"}), encoding="utf-8")

    async def both() -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: CannedResponse(writes_of(20, 8)), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            fixed = {"host": "127.0.0.1", "port": port, "path": "/", "mark": "data:"}
            return await run_streams(
                argparse.Namespace(**{"bodies": bodies, "longest": 0, **fixed, **options})
            )

    return asyncio.run(both())
