r"""The load generator: keeps a number of streams open against one server and counts its tokens.

    python -m benchmarks.harness.load_generator --port 8000 --path /generate \
        --bodies FILE --streams 64 --seconds 10

It runs in a separate process with raw asyncio sockets. It counts marks (`data:` lines, one for each
token) without parsing the responses, so that its own cost stays small, and reports its share of one
CPU. A server may write several tokens at once. Two gaps are distinguished: the gap between writes,
and the gap per token of a stream, which is the time from the stream's first write to its last,
divided by the tokens after the first write.

The measurement ends after the given seconds, or as soon afterwards as every stream has one
response, since the first tokens alone do not describe a slow server. The generator then prints an
empty line, closes all connections, and prints its counts as JSON.

With --rate, requests arrive instead as a Poisson process, whether earlier ones have ended or not,
and every one is read to its end. Its first token is timed from the planned arrival, so that a late
generator does not hide a wait.
"""

import argparse
import asyncio
import itertools
import json
import math
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvloop

from benchmarks.harness.statistics import quantile

LAST_LINE = b'"finish_reason"'
LAST_CHUNK = b"0\r\n\r\n"  # end of a chunked body
CHECK_SECONDS = 0.05  # between checks whether every stream has one response
ARRIVALS_SEED = 1


class RequestFailedError(Exception):
    """A response has another status than 200 or is incomplete, or the connection was lost."""


@dataclass
class LoadCounts:
    """Counts of one run until the deadline, which is set when the duration is over. In seconds."""

    deadline: float = math.inf
    tokens: int = 0
    pieces: int = 0
    requests: int = 0  # completed
    first_tokens: list[float] = field(default_factory=list)
    piece_gaps: list[float] = field(default_factory=list)
    stream_gaps: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """The counts, and p50 and p99 of every list."""
        lists = ("first_tokens", "piece_gaps", "stream_gaps")
        return {
            **{name: getattr(self, name) for name in ("tokens", "pieces", "requests")},
            **{name: [quantile(getattr(self, name), q) for q in (0.50, 0.99)] for name in lists},
        }


class StreamingRequest(asyncio.Protocol):
    """One request on one connection, and the count of its tokens."""

    def __init__(
        self, request: bytes, mark: bytes, counts: LoadCounts, *, planned: float | None = None
    ) -> None:
        """``planned``: when the request was to be sent, if that is not when it is connected."""
        self.request = request
        self.mark = mark
        self.counts = counts
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.head = self.tail = b""
        self.planned = planned
        self.start_time = self.first_time = self.last_time = 0.0
        self.later_tokens = 0  # after the first write

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.start_time = time.perf_counter() if self.planned is None else self.planned
        cast(asyncio.Transport, transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if len(self.head) < 12:  # HTTP/1.1 200
            self.head += data[:600]
        tokens = count_new_tokens(self.tail, data, self.mark)
        self.tail = (self.tail + data)[-len(LAST_LINE) :]
        if tokens > 0 and now <= self.counts.deadline:
            self.count_write(tokens, now)

    def count_write(self, tokens: int, now: float) -> None:
        """Counts the tokens of one write."""
        self.counts.tokens += tokens
        self.counts.pieces += 1
        if self.first_time == 0.0:
            self.first_time = now
            self.counts.first_tokens.append(now - self.start_time)
        else:
            self.later_tokens += tokens
            self.counts.piece_gaps.append(now - self.last_time)
        self.last_time = now

    def count_stream(self) -> None:
        """Counts the gap per token of the stream, complete or not."""
        if self.later_tokens:
            gap = (self.last_time - self.first_time) / self.later_tokens
            self.counts.stream_gaps.append(gap)

    def connection_lost(self, error: Exception | None) -> None:
        if self.done.done():  # closed by run_streams
            return
        incomplete = b"chunked" in self.head.lower() and not self.tail.endswith(LAST_CHUNK)
        if error is not None or incomplete or not self.head.startswith(b"HTTP/1.1 200"):
            reason = error or ("incomplete response:" if incomplete else "")
            text = self.head[:600].decode(errors="replace")
            self.done.set_exception(RequestFailedError(f"{reason} {text}"))
            return
        self.counts.requests += 1
        self.done.set_result(None)


def count_new_marks(tail: bytes, data: bytes, mark: bytes) -> int:
    """Number of marks that end in `data`; they may begin in `tail`, the end of earlier data."""
    overlap = tail[-(len(mark) - 1) :]
    return (overlap + data).count(mark)


def count_new_tokens(tail: bytes, data: bytes, mark: bytes = b"data:") -> int:
    """Number of tokens that end in `data`: its marks without that of the last line."""
    return count_new_marks(tail, data, mark) - count_new_marks(tail, data, LAST_LINE)


async def run_stream(
    args: argparse.Namespace, bodies: Iterator[bytes], counts: LoadCounts, answered: asyncio.Event
) -> None:
    """One client: sends the next request after each response until it is cancelled."""
    for _ in range(args.rounds) if args.rounds else itertools.count():
        await run_request(args, next(bodies), counts)
        answered.set()


async def run_arrivals(
    args: argparse.Namespace, bodies: Iterator[bytes], counts: LoadCounts, answered: asyncio.Event
) -> None:
    """Sends requests at random times, ``args.rate`` in a second on average, and reads all of the
    responses.
    """
    gaps = random.Random(ARRIVALS_SEED)
    planned = time.perf_counter()
    end = planned + args.seconds
    async with asyncio.TaskGroup() as requests:
        while (planned := planned + gaps.expovariate(args.rate)) < end:
            await asyncio.sleep(max(0.0, planned - time.perf_counter()))
            requests.create_task(run_request(args, next(bodies), counts, planned))
    answered.set()


async def run_request(
    args: argparse.Namespace, body: bytes, counts: LoadCounts, planned: float | None = None
) -> None:
    """One request on a connection of its own."""
    request = http_request(args.host, args.path, body)
    factory = partial(StreamingRequest, request, args.mark.encode(), counts, planned=planned)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(factory, args.host, args.port)
    try:
        await protocol.done
    finally:
        protocol.count_stream()
        transport.abort()


def http_request(host: str, path: str, body: bytes) -> bytes:
    """The bytes of a POST request with a JSON body."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


async def run_streams(args: argparse.Namespace) -> dict[str, Any]:
    """Runs all streams until the duration is over or all rounds are done; returns the counts."""
    bodies = itertools.cycle(args.bodies.read_bytes().split(b"\n"))
    counts = LoadCounts()
    run_client, clients_count = (run_arrivals, 1) if args.rate else (run_stream, args.streams)
    answered = [asyncio.Event() for _ in range(clients_count)]
    begin, cpu_begin = time.perf_counter(), cpu_seconds()
    clients = [asyncio.create_task(run_client(args, bodies, counts, event)) for event in answered]
    done, pending = await wait_until_over(args, clients, answered)
    counts.deadline = time.perf_counter()
    seconds = counts.deadline - begin
    cpu_share = (cpu_seconds() - cpu_begin) / seconds
    print(flush=True)
    for client in pending:
        client.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for client in done:
        client.result()
    return {
        "streams": args.streams,
        "seconds": seconds,
        "own_processor_share": cpu_share,
        **counts.summary(),
    }


async def wait_until_over(
    args: argparse.Namespace,
    clients: Sequence[asyncio.Task[None]],
    answered: Sequence[asyncio.Event],
) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
    """Waits until the measurement is over; returns the clients that are done and the others."""
    timeout, remaining = args.seconds, max(args.longest, args.seconds)
    while True:
        begin = time.perf_counter()
        done, pending = await asyncio.wait(
            clients, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION
        )
        remaining -= time.perf_counter() - begin
        failed = any(client.exception() for client in done)
        if failed or not pending or remaining <= 0 or all(event.is_set() for event in answered):
            return done, pending
        timeout = CHECK_SECONDS


def cpu_seconds() -> float:
    """User and system CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Runs the load and prints the counts as JSON; exits with the response of a failed request."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.harness.load_generator", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="JSON lines, one per request")
    parser.add_argument("--mark", default="data:", help="text that is counted as one token")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--longest", type=float, default=0, help="maximum seconds of slow servers")
    parser.add_argument("--rounds", type=int, default=0, help="requests per stream (0: no bound)")
    parser.add_argument(
        "--rate", type=float, default=0, help="Poisson arrivals a second, in place of streams"
    )
    try:
        counts = uvloop.run(run_streams(parser.parse_args()))
    except (RequestFailedError, OSError) as error:
        sys.exit(f"a request failed: {error}")
    json.dump(counts, sys.stdout)


if __name__ == "__main__":
    main()
