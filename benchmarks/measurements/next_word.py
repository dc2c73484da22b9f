"""Requests per second of POST /next-word beside POST /generate of one token and an empty route.

The measured requests take turns within each repeat. Every client sends short prompts, each over a
connection of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.harness.load_client import WARM_UP_ROUNDS, WARM_UP_SECONDS, Load, run_load
from benchmarks.harness.servers import SERVICE_COMMAND, ServerSpec, start_server

MARK = "HTTP/1.1 200"  # begins each response
GENERATE_MARK = '_tokens"'  # in "usage"; the load generator subtracts one for "finish_reason"
KEY_FIELDS = ("request", "clients")
WORD_PROMPTS = ("The keys to the", "My fellow", "The people of the United", "We have")
HALF_TYPED_PROMPTS = ("The Uni", "My fellow Am", "The people of the Sta", "We have the Cong")
CHAR_PROMPTS = ("ROMEO:\nI l", "The king is d", "To be or not to ", "O ")
SERVICE = ServerSpec(
    name="Unroll", command=SERVICE_COMMAND, path="/next-word", ready="/health/ready"
)
EMPTY_ROUTE = ServerSpec(
    name="empty route",
    command=("benchmarks.peers.fastapi_empty", "{port}"),
    path="/next-word",
    ready="/health",
)


@dataclass(frozen=True)
class RequestKind:
    """A kind of request: its name in tables, its server, its bodies, a text of its responses."""

    name: str
    spec: ServerSpec
    bodies: Sequence[dict[str, Any]]
    mark: str = MARK


@dataclass(frozen=True)
class NextWordPlan:
    """Directory of the artifacts, numbers of clients, and the duration of each measurement."""

    models: Path
    clients: Sequence[int]
    seconds: float
    repeats: int
    logs: Path


@dataclass(frozen=True, kw_only=True)
class NextWordMeasurement:
    """One kind of request with a number of clients. Times in milliseconds; medians in a summary."""

    request: str
    clients: int
    requests_per_second: float
    answer_p50: float
    answer_p99: float


def request_kinds() -> list[RequestKind]:
    """The kinds of request, the limit first."""
    generate = replace(SERVICE, path="/generate")
    word, char = {"model": "english-word"}, {"model": "shakespeare-char"}
    return [
        RequestKind("empty route", EMPTY_ROUTE, [{**word, "prompt": "The"}]),
        RequestKind(
            "/generate, 1 token",
            generate,
            [{**word, "prompt": prompt, "max_tokens": 1} for prompt in WORD_PROMPTS],
            GENERATE_MARK,
        ),
        RequestKind(
            "/next-word, word", SERVICE, [{**word, "prompt": prompt} for prompt in WORD_PROMPTS]
        ),
        RequestKind(
            "/next-word, half-typed",
            SERVICE,
            [{**word, "prompt": prompt} for prompt in HALF_TYPED_PROMPTS],
        ),
        RequestKind(
            "/next-word, char", SERVICE, [{**char, "prompt": prompt} for prompt in CHAR_PROMPTS]
        ),
    ]


def measure_all(plan: NextWordPlan) -> list[NextWordMeasurement]:
    """Measures every kind of request with every number of clients, in all repeats."""
    measurements = []
    for repeat in range(plan.repeats):
        for clients in plan.clients:
            for kind in request_kinds():
                measurement = measure(plan, kind, clients)
                measurements.append(measurement)
                print(
                    f"{repeat + 1}/{plan.repeats}  {kind.name:24} {clients:3} clients "
                    f"{measurement.requests_per_second:8.0f} requests/s",
                    flush=True,
                )
    return measurements


def measure(plan: NextWordPlan, kind: RequestKind, clients: int) -> NextWordMeasurement:
    """Starts the server, warms it up, measures it under load, and ends it."""
    warm_up = Load(kind.bodies, clients, WARM_UP_SECONDS, rounds=WARM_UP_ROUNDS, mark=kind.mark)
    load = Load(kind.bodies, clients, plan.seconds, mark=kind.mark)
    log = plan.logs / f"{kind.spec.name.replace(' ', '-').lower()}-next-word.log"
    with start_server(kind.spec, {"artifact": plan.models}, log) as server:
        run_load(kind.spec, server, warm_up)
        result = run_load(kind.spec, server, load)
    p50, p99 = result.first_tokens
    return NextWordMeasurement(
        request=kind.name,
        clients=clients,
        requests_per_second=result.requests / result.seconds,
        answer_p50=1e3 * p50,
        answer_p99=1e3 * p99,
    )
