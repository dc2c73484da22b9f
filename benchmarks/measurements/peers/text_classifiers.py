"""Text classifiers behind HTTP: accuracy on one split, and requests per second, in turns."""

import contextlib
import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.servers import RunningServer, ServerSpec, start_server
from benchmarks.harness.statistics import NAN
from benchmarks.harness.wrk import run_wrk
from benchmarks.measurements.short_requests import EMPTY_ROUTES, SERVICE, WARM_UP_SECONDS
from benchmarks.peers.labeled_texts import Texts
from benchmarks.peers.text_models import TRAINERS

KEY_FIELDS = ("server", "connections")
PEERS = {"svm": "TF-IDF, linear SVM", "fasttext": "fastText"}
EMPTY = "empty FastAPI route"
BODIES = 200  # texts that are sent in turn


@dataclass(frozen=True)
class TextClassifierPlan:
    """The served artifact, the split, and the duration of each measurement."""

    artifact: Path
    train: Texts
    test: Texts
    out_of_scope: Texts
    connections: Sequence[int]
    seconds: float
    repeats: int
    scratch: Path
    logs: Path


@dataclass(frozen=True, kw_only=True)
class TextClassifierMeasurement:
    """One server; ``accuracy`` on the test texts and on those out of scope, nan for the empty
    route. Times in milliseconds.
    """

    server: str
    connections: int
    accuracy: float
    out_of_scope: float
    requests_per_second: float
    answer_p50: float
    answer_p99: float
    cpu_microseconds: float


def measure_all(plan: TextClassifierPlan) -> tuple[list[TextClassifierMeasurement], list[str]]:
    """The measurements, and why peers were skipped."""
    files, skipped = train_peers(plan)
    measurements = []
    with contextlib.ExitStack() as stack:
        servers: dict[str, RunningServer] = {
            "Unroll": _start(stack, plan, SERVICE, "unroll"),
            EMPTY: _start(stack, plan, EMPTY_ROUTES, "empty"),
        }
        for kind, file in files.items():
            spec = peer_spec(kind, file)
            servers[spec.name] = _start(stack, plan, spec, kind)
        accuracies = {
            name: (NAN, NAN)
            if name == EMPTY
            else (accuracy(server, plan.test), accuracy(server, plan.out_of_scope))
            for name, server in servers.items()
        }
        bodies = [{"text": text} for text in plan.test.texts[:BODIES]]
        for server in servers.values():
            run_wrk(server.port, "/classify", bodies, 1, WARM_UP_SECONDS)
        for repeat in range(plan.repeats):
            for connections in plan.connections:
                for name, server in servers.items():
                    before = server.processor_seconds()
                    result = run_wrk(server.port, "/classify", bodies, connections, plan.seconds)
                    cpu = 1e6 * (server.processor_seconds() - before) / result.requests
                    measurements.append(
                        TextClassifierMeasurement(
                            server=name,
                            connections=connections,
                            accuracy=accuracies[name][0],
                            out_of_scope=accuracies[name][1],
                            requests_per_second=result.requests_per_second,
                            answer_p50=result.p50,
                            answer_p99=result.p99,
                            cpu_microseconds=cpu,
                        )
                    )
                    print(
                        f"{repeat + 1}/{plan.repeats}  {name:20} {connections:3} connections "
                        f"{result.requests_per_second:6.0f}/s, {cpu:.0f} us",
                        flush=True,
                    )
    return measurements, skipped


def train_peers(plan: TextClassifierPlan) -> tuple[dict[str, Path], list[str]]:
    """Files of the trained peers by kind, and why others were skipped."""
    files, skipped = {}, []
    for kind, train in TRAINERS.items():
        file = plan.scratch / kind
        try:
            train(plan.train, file)
        except ImportError as error:
            skipped.append(f"{PEERS[kind]}: skipped, {error}.")
        else:
            files[kind] = file
    return files, skipped


def peer_spec(kind: str, file: Path) -> ServerSpec:
    """The server of a trained peer."""
    return ServerSpec(
        name=f"FastAPI, {PEERS[kind]}",
        command=("benchmarks.peers.text_models", kind, str(file), "{port}"),
        path="/classify",
        ready="/health",
    )


def accuracy(server: RunningServer, test: Texts) -> float:
    """The share of test texts with the right label, asked for over HTTP one after the other."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    right = 0
    with contextlib.closing(connection):
        for text, label in zip(test.texts, test.labels, strict=True):
            body = json.dumps({"text": text})
            connection.request("POST", "/classify", body, {"Content-Type": "application/json"})
            content = json.loads(connection.getresponse().read())
            answer = content["results"][0] if "results" in content else content
            right += answer["label"] == label
    return right / len(test.texts)


def _start(
    stack: contextlib.ExitStack, plan: TextClassifierPlan, spec: ServerSpec, name: str
) -> RunningServer:
    log = plan.logs / f"{name}-text-classifiers.log"
    return stack.enter_context(start_server(spec, {"artifact": plan.artifact}, log))
