"""The same over HTTP: one stream of very many tokens, and how fast they come early and late.

Knows how a stream of the service looks, and no kernel.
"""

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.harness.load_generator import LAST_LINE, count_new
from benchmarks.harness.servers import UNROLL, started
from benchmarks.harness.statistics import median
from benchmarks.measurements.context import Walk, in_parts

CHUNK = 100  # tokens; pieces come in several sizes, so the pace is taken over so many
WINDOW = 1000  # tokens after the early place and before the late one
Arrival = tuple[float, int]  # when, and how many tokens there were by then


def walk_http(artifact: Path, *, early: int, late: int, log: Path) -> Walk:
    """Asks the service for ``late`` tokens in one stream."""
    candidate = replace(UNROLL, command=(*UNROLL.command, "--max-tokens", str(late)))
    with started(candidate, {"artifact": artifact}, log) as server:
        arrivals = list(_arrivals(server.port, late))
    places, paces = chunked(arrivals)
    if len(paces) < 2:
        raise SystemExit(f"the stream ended after {arrivals[-1][1] if arrivals else 0} tokens")
    window = min(WINDOW, (late - early) // 2)
    near = [pace for at, pace in zip(places, paces, strict=True) if early < at <= early + window]
    far = [pace for at, pace in zip(places, paces, strict=True) if at > places[-1] - window]
    return Walk("over HTTP", early, late, median(near), median(far), *in_parts(places, paces))


def chunked(arrivals: Sequence[Arrival]) -> tuple[list[int], list[float]]:
    """Where each chunk of at least CHUNK tokens ends, and its seconds per token."""
    places, paces = [], []
    begin = arrivals[0] if arrivals else (0.0, 0)
    for now, tokens in arrivals:
        if tokens - begin[1] >= CHUNK:
            places.append(tokens)
            paces.append((now - begin[0]) / (tokens - begin[1]))
            begin = now, tokens
    return places, paces


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
        count += count_new(tail, piece, b"data:") - count_new(tail, piece, LAST_LINE)
        tail = (tail + piece)[-len(LAST_LINE) :]
        yield now, count
    connection.close()
