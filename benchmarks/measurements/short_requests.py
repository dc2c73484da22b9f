"""Requests per second of short requests beside empty FastAPI routes with the same models.

Both servers run all the time; the measured one and the empty one take turns. With ``neighbor``
another process keeps one core busy.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.servers import SERVICE_COMMAND, RunningServer, ServerSpec, start_server
from benchmarks.harness.statistics import ratio
from benchmarks.harness.wrk import WrkResult, run_wrk
from benchmarks.measurements.next_word import WORD_PROMPTS

KEY_FIELDS = ("request", "connections", "neighbor")
WARM_UP_SECONDS = 1.0
SERVICE = ServerSpec(
    name="Unroll", command=SERVICE_COMMAND, path="/classify", ready="/health/ready"
)
EMPTY_ROUTES = ServerSpec(
    name="empty routes",
    command=("benchmarks.peers.fastapi_empty", "{port}"),
    path="/classify",
    ready="/health",
)


@dataclass(frozen=True)
class ShortRequest:
    """A kind of request: its name in tables, its route, its bodies."""

    name: str
    path: str
    bodies: Sequence[dict[str, Any]]


_WORD: dict[str, Any] = {"model": "english-word"}
_TEXTS = ("A warm and funny film about a family that keeps a hotel.", "Two dull hours.")
SHORT_REQUESTS = (
    ShortRequest(
        "/classify", "/classify", [{"model": "sentiment", "text": text} for text in _TEXTS]
    ),
    ShortRequest(
        "/generate, 1 token",
        "/generate",
        [{**_WORD, "prompt": prompt, "max_tokens": 1} for prompt in WORD_PROMPTS],
    ),
    ShortRequest(
        "/next-word, word model",
        "/next-word",
        [{**_WORD, "prompt": prompt} for prompt in WORD_PROMPTS],
    ),
    ShortRequest(
        "/score, 9 words",
        "/score",
        [{**_WORD, "texts": ["The keys to the house are on the table."]}],
    ),
)


@dataclass(frozen=True)
class ShortRequestPlan:
    """Directory of the artifacts, numbers of connections, and the duration of each measurement."""

    models: Path
    connections: Sequence[int]
    seconds: float
    repeats: int
    logs: Path


@dataclass(frozen=True, kw_only=True)
class ShortRequestMeasurement:
    """One kind of request, and the empty route beside it. Times in milliseconds; medians in a
    summary.
    """

    request: str
    connections: int
    neighbor: bool
    requests_per_second: float
    empty_per_second: float
    share: float
    answer_p50: float
    answer_p99: float
    empty_p50: float
    empty_p99: float
    cpu_microseconds: float
    empty_cpu_microseconds: float
    cpu_share: float


def measure_all(plan: ShortRequestPlan) -> list[ShortRequestMeasurement]:
    """Measures every kind of request with every number of connections, in all repeats, and with
    one connection also beside a busy neighbor.
    """
    cases = [(count, False) for count in plan.connections] + [(plan.connections[0], True)]
    measurements = []
    with (
        start_server(
            SERVICE, {"artifact": plan.models}, plan.logs / "unroll-short-requests.log"
        ) as service,
        start_server(EMPTY_ROUTES, {}, plan.logs / "empty-short-requests.log") as empty,
    ):
        for request in SHORT_REQUESTS:
            for server in (service, empty):
                run_wrk(server.port, request.path, request.bodies, 1, WARM_UP_SECONDS)
        for repeat in range(plan.repeats):
            for connections, neighbor in cases:
                with busy_neighbor() if neighbor else contextlib.nullcontext():
                    for request in SHORT_REQUESTS:
                        measurement = measure(
                            request, service, empty, connections, plan.seconds, neighbor=neighbor
                        )
                        measurements.append(measurement)
                        print(f"{repeat + 1}/{plan.repeats}  {_line(measurement)}", flush=True)
    return measurements


def measure(
    request: ShortRequest,
    service: RunningServer,
    empty: RunningServer,
    connections: int,
    seconds: float,
    *,
    neighbor: bool,
) -> ShortRequestMeasurement:
    """Measures the empty route, then the service."""
    limit, empty_cpu = _run(empty, request, connections, seconds)
    result, cpu = _run(service, request, connections, seconds)
    return ShortRequestMeasurement(
        request=request.name,
        connections=connections,
        neighbor=neighbor,
        requests_per_second=result.requests_per_second,
        empty_per_second=limit.requests_per_second,
        share=result.requests_per_second / limit.requests_per_second,
        answer_p50=result.p50,
        answer_p99=result.p99,
        empty_p50=limit.p50,
        empty_p99=limit.p99,
        cpu_microseconds=cpu,
        empty_cpu_microseconds=empty_cpu,
        cpu_share=ratio(empty_cpu, cpu),
    )


def _run(
    server: RunningServer, request: ShortRequest, connections: int, seconds: float
) -> tuple[WrkResult, float]:
    """The result, and the microseconds of CPU time of the server for each request."""
    before = server.processor_seconds()
    result = run_wrk(server.port, request.path, request.bodies, connections, seconds)
    return result, 1e6 * (server.processor_seconds() - before) / result.requests


@contextlib.contextmanager
def busy_neighbor() -> Iterator[None]:
    """A process that keeps one core busy within the context."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _line(measurement: ShortRequestMeasurement) -> str:
    return (
        f"{measurement.request:24} {measurement.connections:3} connections"
        f"{' and a neighbor' if measurement.neighbor else '':15} "
        f"{measurement.requests_per_second:6.0f}/s, {measurement.share:.2f} of the empty route"
    )
