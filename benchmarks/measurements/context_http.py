"""Time per token over HTTP, early and late in one long stream."""

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.load_generator import LAST_LINE, count_new_tokens
from benchmarks.harness.servers import UNROLL, start_server
from benchmarks.harness.statistics import median
from benchmarks.measurements.context import LatencyProfile, downsample

CHUNK_TOKENS = 100  # tokens over which the time per token is averaged, since writes vary in size
SAMPLE_TOKENS = 1000  # tokens after the early position and before the late one
Arrival = tuple[float, int]  # time, and number of tokens received by then


def profile_http(artifact: Path, *, early: int, late: int, log: Path) -> LatencyProfile:
    """Requests ``late`` tokens in one stream of the service."""
    spec = replace(UNROLL, command=(*UNROLL.command, "--max-tokens", str(late)))
    with start_server(spec, {"artifact": artifact}, log) as server:
        arrivals = list(_arrivals(server.port, late))
    positions, seconds = seconds_per_token_by_chunk(arrivals)
    if len(seconds) < 2:
        raise SystemExit(f"the stream ended after {arrivals[-1][1] if arrivals else 0} tokens")
    window = min(SAMPLE_TOKENS, (late - early) // 2)
    chunks = list(zip(positions, seconds, strict=True))
    early_seconds = [value for end, value in chunks if early < end <= early + window]
    late_seconds = [value for end, value in chunks if end > positions[-1] - window]
    return LatencyProfile(
        "over HTTP",
        early,
        late,
        median(early_seconds),
        median(late_seconds),
        *downsample(positions, seconds),
    )


def seconds_per_token_by_chunk(arrivals: Sequence[Arrival]) -> tuple[list[int], list[float]]:
    """The last position of each chunk of at least CHUNK_TOKENS, and its seconds per token."""
    positions, seconds = [], []
    chunk_time, chunk_begin = arrivals[0] if arrivals else (0.0, 0)
    for now, tokens in arrivals:
        if tokens - chunk_begin >= CHUNK_TOKENS:
            positions.append(tokens)
            seconds.append((now - chunk_time) / (tokens - chunk_begin))
            chunk_time, chunk_begin = now, tokens
    return positions, seconds


def _arrivals(port: int, tokens: int) -> Iterator[Arrival]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = {"prompt": "", "max_tokens": tokens, "seed": 1, **dict(UNROLL.extra)}
    connection.request("POST", "/generate", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != http.client.OK:
        raise SystemExit(f"/generate answered {response.status}: {response.read(600)!r}")
    tail, count = b"", 0
    while piece := response.read1(65536):
        now = time.perf_counter()
        count += count_new_tokens(tail, piece)
        tail = (tail + piece)[-len(LAST_LINE) :]
        yield now, count
    connection.close()
