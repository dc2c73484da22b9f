"""Time from the start of the service's process until it is ready, and its memory.

For comparison: an interpreter that ends at once, one that imports torch, and optionally the service
of another working copy.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.servers import UNROLL, RunningServer, start_server

TEXT = "The people of this country have the right to know what the government does ."
WORDS = TEXT.split()


@dataclass
class ServiceStarts:
    """One service: seconds to ready and processor seconds until then, and resident bytes when it
    is ready and after the requests, of each start.
    """

    ready: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    loaded: list[int] = field(default_factory=list)
    used: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class StartupTimes:
    """The services by name, and the seconds of the other processes."""

    services: Mapping[str, ServiceStarts]
    import_torch: Sequence[float]
    interpreter: Sequence[float]


def measure_startup(
    models: Path, *, repeats: int, requests: int, beside: Path | None, log: Path
) -> StartupTimes:
    """Starts the processes in turns.

    Args:
        models: directory of artifacts.
        repeats: starts of each process.
        requests: mixed requests to each service, after which its memory is read again.
        beside: another working copy, whose service is measured with the same interpreter.
        log: file to which the services' output is appended.
    """
    checkouts: dict[str, Path | None] = {"service": None}
    if beside is not None:
        checkouts["service beside"] = beside.resolve()
    services = {name: ServiceStarts() for name in checkouts}
    times = StartupTimes(services, import_torch := [], interpreter := [])
    for _ in range(repeats):
        interpreter.append(_seconds_of("pass"))
        import_torch.append(_seconds_of("import torch"))
        for name, checkout in checkouts.items():
            starts = services[name]
            _measure_start(starts, models.resolve(), requests, log, checkout)
            print(f"{name}: ready after {starts.ready[-1]:.2f} s", flush=True)
    return times


def _measure_start(
    starts: ServiceStarts, models: Path, requests: int, log: Path, checkout: Path | None
) -> None:
    begin = time.perf_counter()
    with start_server(UNROLL, {"artifact": models}, log, checkout) as server:
        starts.ready.append(time.perf_counter() - begin)
        starts.processor.append(server.processor_seconds())
        starts.loaded.append(server.process.memory_info().rss)
        send_mixed_requests(server, requests)
        starts.used.append(server.process.memory_info().rss)


def send_mixed_requests(server: RunningServer, count: int) -> None:
    """Sends requests one after the other, in turns to all models and routes, with other texts each.

    Raises RuntimeError for a response that is not 200.
    """
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/models")
    models = json.loads(connection.getresponse().read())["models"]
    for index in range(count):
        model = models[index % len(models)]
        turn = index // len(models)
        route, body = _request(model["kind"], turn)
        content = json.dumps({"model": model["name"], **body})
        connection.request("POST", route, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{route} of {model['name']}: {answer.decode()}")
    connection.close()


def _request(kind: str, turn: int) -> tuple[str, dict[str, Any]]:
    """The route and the body of one request."""
    shift = turn % len(WORDS)
    text = " ".join(WORDS[shift:] + WORDS[:shift])
    if kind == "classifier":
        return "/classify", {"texts": [text] * (1 + turn % 8)}
    generate = {"prompt": text, "max_tokens": 40, "seed": turn, "return_state": turn % 2 == 0}
    return (
        ("/generate", generate),
        ("/next-word", {"prompt": text}),
        ("/score", {"texts": [text]}),
    )[turn % 3]


def _seconds_of(statement: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - begin
