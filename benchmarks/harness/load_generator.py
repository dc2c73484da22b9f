r"""The load generator: keeps so many streams open against one server, and counts what comes back.

    python -m benchmarks.harness.load_generator --port 8000 --path /generate \
        --bodies FILE --streams 64 --seconds 10

A process of its own with raw asyncio sockets, which counts marks (`data:` lines, one for each
token) and parses none of them, so that it is not what is measured; it reports the share of one
processor it took itself. Tokens may come several in one piece. Two kinds of gap are kept apart:
between pieces, and per token of a stream (the time from a stream's first piece to its last, over
the tokens that came after the first piece). The time is over after so many seconds, or as soon
after as every stream has had one answer: a slow server is not told by how it begins. Then it says
so with an empty line, cuts all connections, and prints its tally as JSON. Knows nothing of the
servers.
"""

import argparse
import asyncio
import itertools
import json
import math
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
LAST_CHUNK = b"0\r\n\r\n"  # of a body in chunks; without it the server broke off
LOOK_SECONDS = 0.05  # between two looks whether every stream has had its answer


class RequestFailedError(Exception):
    """An answer that is not 200 or breaks off, or a connection that broke."""


@dataclass
class Tally:
    """What one run saw until its deadline, which is set when the time is over. In seconds."""

    deadline: float = math.inf
    tokens: int = 0
    pieces: int = 0
    requests: int = 0  # those that came to their end
    first_tokens: list[float] = field(default_factory=list)
    piece_gaps: list[float] = field(default_factory=list)
    stream_gaps: list[float] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """The counts, and two quantiles of every list."""
        lists = ("first_tokens", "piece_gaps", "stream_gaps")
        return {
            **{name: getattr(self, name) for name in ("tokens", "pieces", "requests")},
            **{
                name: [quantile(getattr(self, name), share) for share in (0.50, 0.99)]
                for name in lists
            },
        }


class Request(asyncio.Protocol):
    """One request on one connection: sends it when connected, counts tokens until it is closed."""

    def __init__(self, request: bytes, mark: bytes, tally: Tally) -> None:
        self.request = request
        self.mark = mark
        self.tally = tally
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.head = self.tail = b""
        self.begun = self.first = self.last = 0.0
        self.later_tokens = 0  # those that came after the first piece

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.begun = time.perf_counter()
        cast(asyncio.Transport, transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if len(self.head) < 12:  # HTTP/1.1 200
            self.head += data[:600]
        new = count_new(self.tail, data, self.mark) - count_new(self.tail, data, LAST_LINE)
        self.tail = (self.tail + data)[-len(LAST_LINE) :]
        if new > 0 and now <= self.tally.deadline:
            self.count(new, now)

    def count(self, new: int, now: float) -> None:
        """Books the tokens of one piece."""
        self.tally.tokens += new
        self.tally.pieces += 1
        if self.first == 0.0:
            self.first = now
            self.tally.first_tokens.append(now - self.begun)
        else:
            self.later_tokens += new
            self.tally.piece_gaps.append(now - self.last)
        self.last = now

    def close(self) -> None:
        """Books the stream as a whole, ended or cut."""
        if self.later_tokens:
            self.tally.stream_gaps.append((self.last - self.first) / self.later_tokens)

    def connection_lost(self, error: Exception | None) -> None:
        if self.done.done():  # cut, because the time is over
            return
        cut_short = b"chunked" in self.head.lower() and not self.tail.endswith(LAST_CHUNK)
        if error is not None or cut_short or not self.head.startswith(b"HTTP/1.1 200"):
            reason = error or ("an answer broke off:" if cut_short else "")
            text = self.head[:600].decode(errors="replace")
            self.done.set_exception(RequestFailedError(f"{reason} {text}"))
            return
        self.tally.requests += 1
        self.done.set_result(None)


def count_new(tail: bytes, data: bytes, mark: bytes) -> int:
    """How often a mark ends in `data`, where it may begin in the `tail` of what came before."""
    overlap = tail[-(len(mark) - 1) :]
    return (overlap + data).count(mark)


async def stream(
    args: argparse.Namespace, bodies: Iterator[bytes], tally: Tally, answered: asyncio.Event
) -> None:
    """One client: asks again as soon as it has its answer, until the time is over."""
    loop = asyncio.get_running_loop()
    for _ in range(args.rounds) if args.rounds else itertools.count():
        request = written(args.host, args.path, next(bodies))
        factory = partial(Request, request, args.mark.encode(), tally)
        transport, protocol = await loop.create_connection(factory, args.host, args.port)
        try:
            await protocol.done
            answered.set()
        finally:
            protocol.close()
            transport.abort()


def written(host: str, path: str, body: bytes) -> bytes:
    """The bytes of one request."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


async def run(args: argparse.Namespace) -> dict[str, Any]:
    """All streams until the time is over, or until each has asked as often as it is to."""
    bodies = itertools.cycle(args.bodies.read_bytes().split(b"\n"))
    tally = Tally()
    answered = [asyncio.Event() for _ in range(args.streams)]
    begin, processor = time.perf_counter(), processor_seconds()
    clients = [asyncio.create_task(stream(args, bodies, tally, one)) for one in answered]
    ended, going = await until_over(args, clients, answered)
    tally.deadline = time.perf_counter()
    seconds = tally.deadline - begin
    share = (processor_seconds() - processor) / seconds
    print(flush=True)
    for client in going:
        client.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    for client in ended:
        client.result()
    return {
        "streams": args.streams,
        "seconds": seconds,
        "own_processor_share": share,
        **tally.told(),
    }


async def until_over(
    args: argparse.Namespace,
    clients: Sequence[asyncio.Task[None]],
    answered: Sequence[asyncio.Event],
) -> tuple[set[asyncio.Task[None]], set[asyncio.Task[None]]]:
    """Waits; which clients have ended, by an error or with all their rounds, and which have not."""
    timeout, left = args.seconds, max(args.longest, args.seconds)
    while True:
        begin = time.perf_counter()
        ended, going = await asyncio.wait(
            clients, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION
        )
        left -= time.perf_counter() - begin
        failed = any(client.exception() for client in ended)
        if failed or not going or left <= 0 or all(one.is_set() for one in answered):
            return ended, going
        timeout = LOOK_SECONDS


def processor_seconds() -> float:
    """What this process has used so far, system calls included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Puts the load on, prints the tally as JSON; a failed request ends with its answer."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.harness.load_generator", description=__doc__
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--bodies", type=Path, required=True, help="file of JSON lines to send")
    parser.add_argument("--mark", default="data:", help="what is counted as one token")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--longest", type=float, default=0, help="seconds, where answers are slow")
    parser.add_argument("--rounds", type=int, default=0, help="requests of each stream; 0: no end")
    try:
        tally = uvloop.run(run(parser.parse_args()))
    except (RequestFailedError, OSError) as error:
        sys.exit(f"a request failed: {error}")
    json.dump(tally, sys.stdout)


if __name__ == "__main__":
    main()
