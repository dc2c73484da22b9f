"""The load generator: keeps so many streams open against one server, and counts what comes back.

    python -m benchmarks.load --port 8000 --path /generate --body '{...}' --streams 64 --seconds 10

A process of its own with raw asyncio sockets, which counts `data:` lines and parses none of them,
so that it is not what is measured; it reports the share of one processor it took itself. Knows
nothing of the servers but that a line `data: ...` is a token, unless it holds `finish_reason`.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

_LINE = b"data:"
_LAST_LINE = b'"finish_reason"'
LONGEST_TAIL_SECONDS = 300.0  # for requests under way when the time is over


@dataclass
class Tally:
    """What one run saw. Seconds throughout; gaps are between two tokens of one stream."""

    streams: int
    deadline: float = 0.0
    tokens: int = 0  # within `seconds`
    all_tokens: int = 0  # those after it too
    requests: int = 0
    seconds: float = 0.0
    own_processor_share: float = 0.0
    first_tokens: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    failure: str | None = None


class Request(asyncio.Protocol):
    """One request on one connection: sends it when connected, counts tokens until it is closed."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self.request = request
        self.tally = tally
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tail = b""
        self.head = b""
        self.last = 0.0
        self.tokens = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.last = time.perf_counter()
        cast(asyncio.Transport, transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if len(self.head) < 12:  # HTTP/1.1 200
            self.head += data[:600]
        new = count_new(self.tail, data, _LINE) - count_new(self.tail, data, _LAST_LINE)
        self.tail = (self.tail + data)[-len(_LAST_LINE) :]
        if new > 0:
            self.count(new, now)

    def count(self, new: int, now: float) -> None:
        """Books tokens that came in one piece: the first waited, the others came with it."""
        if now <= self.tally.deadline:
            self.tally.tokens += new
            waits = self.tally.gaps if self.tokens else self.tally.first_tokens
            waits.append(now - self.last)
            self.tally.gaps.extend([0.0] * (new - 1))
        self.tally.all_tokens += new
        self.tokens += new
        self.last = now

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None or not self.head.startswith(b"HTTP/1.1 200"):
            self.tally.failure = f"{error or ''} {self.head[:600].decode(errors='replace')}"
        self.tally.requests += 1
        if not self.done.done():
            self.done.set_result(None)


def count_new(tail: bytes, data: bytes, mark: bytes) -> int:
    """How often a mark ends in `data`, where it may begin in the `tail` of what came before."""
    overlap = tail[-(len(mark) - 1) :]
    return (overlap + data).count(mark)


async def stream(host: str, port: int, request: bytes, tally: Tally) -> None:
    """One client: asks again as soon as it has its answer, until the time is over."""
    loop = asyncio.get_running_loop()
    while time.perf_counter() < tally.deadline and tally.failure is None:
        _, protocol = await loop.create_connection(lambda: Request(request, tally), host, port)
        await protocol.done


async def run(args: argparse.Namespace) -> Tally:
    """All streams, from the first request to the last byte; only the first `seconds` are counted.

    Requests that are under way when the time is over are let finish, so that the next run finds
    an idle server whether or not it notices clients that leave.
    """
    body = args.body.encode()
    request = (
        f"POST {args.path} HTTP/1.1\r\nHost: {args.host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body
    tally = Tally(streams=args.streams)
    begin, processor = time.perf_counter(), processor_seconds()
    tally.deadline = begin + args.seconds
    clients = [stream(args.host, args.port, request, tally) for _ in range(args.streams)]
    await asyncio.wait_for(asyncio.gather(*clients), args.seconds + LONGEST_TAIL_SECONDS)
    tally.seconds = args.seconds
    tally.own_processor_share = (processor_seconds() - processor) / (time.perf_counter() - begin)
    return tally


def processor_seconds() -> float:
    """What this process has used so far, system calls included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Puts the load on, prints the tally as JSON; a failed request ends with its answer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--body", required=True, help="the JSON that is sent")
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10)
    tally = uvloop.run(run(parser.parse_args()))
    if tally.failure is not None:
        sys.exit(f"a request failed: {tally.failure}")
    json.dump(asdict(tally), sys.stdout)


if __name__ == "__main__":
    main()
