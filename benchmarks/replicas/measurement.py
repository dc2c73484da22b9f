"""Requests per second of several replicas and of Ray Serve beside one replica.

All deployments run all the time and are measured in turns; ratios are taken in each repeat.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.statistics import ratio
from benchmarks.harness.wrk import WrkResult, run_wrk
from benchmarks.measurements.next_word import WORD_PROMPTS
from benchmarks.measurements.short_requests import ShortRequest
from benchmarks.replicas.deployments import behind_haproxy, behind_ray

KEY_FIELDS = ("request", "connections", "deployment")
WARM_UP_SECONDS = 2.0
REQUESTS = (
    ShortRequest(
        "/classify",
        "/classify",
        [{"model": "sentiment", "text": "A warm and funny film about a family with a hotel."}],
    ),
    ShortRequest(
        "/generate, 64 tokens",
        "/generate",
        [{"model": "english-word", "prompt": prompt, "max_tokens": 64} for prompt in WORD_PROMPTS],
    ),
)


@dataclass(frozen=True)
class ReplicasPlan:
    """Directory of the artifacts, threads of each deployment, and what is measured how often."""

    models: Path
    threads: int
    connections: Sequence[int]
    seconds: float
    repeats: int
    ray: bool
    logs: Path


@dataclass(frozen=True, kw_only=True)
class ReplicasMeasurement:
    """A deployment under one kind of request. Times in milliseconds; ratios to one replica in the
    same repeat; medians in a summary.
    """

    request: str
    connections: int
    deployment: str
    requests_per_second: float
    rate_ratio: float
    answer_p50: float
    p50_ratio: float
    answer_p99: float


def measure_all(plan: ReplicasPlan) -> list[ReplicasMeasurement]:
    """Measures every kind of request, number of connections and deployment in all repeats."""
    measurements = []
    with deployments(plan) as ports:
        for request in REQUESTS:
            for port in ports.values():
                run_wrk(port, request.path, request.bodies, max(plan.connections), WARM_UP_SECONDS)
        for repeat in range(plan.repeats):
            for request in REQUESTS:
                for connections in plan.connections:
                    measurements += measure(request, connections, plan.seconds, ports)
            print(f"{repeat + 1}/{plan.repeats}", flush=True)
    return measurements


@contextlib.contextmanager
def deployments(plan: ReplicasPlan) -> Iterator[dict[str, int]]:
    """The port of each deployment; the first one is that of one replica."""
    os.environ.setdefault("UNROLL_STATE_KEY", secrets.token_hex(32))
    count = plan.threads
    with contextlib.ExitStack() as stack:
        ports = {
            "1 replica": stack.enter_context(behind_haproxy(plan.models, 1, count, plan.logs)),
            f"{count} replicas": stack.enter_context(
                behind_haproxy(plan.models, count, 1, plan.logs)
            ),
        }
        if plan.ray:
            name = f"{count} replicas, Ray Serve"
            ports[name] = stack.enter_context(behind_ray(plan.models, count, plan.logs))
        yield ports


def measure(
    request: ShortRequest, connections: int, seconds: float, ports: Mapping[str, int]
) -> list[ReplicasMeasurement]:
    """Measures the deployments one after the other."""
    results = {
        name: run_wrk(port, request.path, request.bodies, connections, seconds)
        for name, port in ports.items()
    }
    base = next(iter(results.values()))
    return [
        _measurement(request.name, connections, name, result, base)
        for name, result in results.items()
    ]


def _measurement(
    request: str, connections: int, deployment: str, result: WrkResult, base: WrkResult
) -> ReplicasMeasurement:
    return ReplicasMeasurement(
        request=request,
        connections=connections,
        deployment=deployment,
        requests_per_second=result.requests_per_second,
        rate_ratio=ratio(result.requests_per_second, base.requests_per_second),
        answer_p50=result.p50,
        p50_ratio=ratio(result.p50, base.p50),
        answer_p99=result.p99,
    )
