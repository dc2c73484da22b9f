"""The gap between tokens of running streams, without and with inspections at the same time."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.harness.load_client import Load, LoadResult, run_load
from benchmarks.harness.servers import UNROLL, RunningServer, start_server
from benchmarks.harness.statistics import median, ratio

TEXT = "ROMEO:\nBut, soft! what light through yonder window breaks?\nIt is the east.\n"
STREAM_TOKENS = 400  # of each request


@dataclass
class InspectedLoad:
    """Loads of one repeat each, in turns, and the seconds of every inspection meanwhile."""

    without: list[LoadResult] = field(default_factory=list)
    during: list[LoadResult] = field(default_factory=list)
    inspection_seconds: list[float] = field(default_factory=list)

    @property
    def gap_ratio(self) -> float:
        """The median gap per token with inspections, divided by the one without."""
        gaps = [
            median([load.stream_gaps[0] for load in loads]) for loads in (self.during, self.without)
        ]
        return ratio(gaps[0], gaps[1])


def measure_inspected_load(
    models: Path, model: str, *, streams: int, tokens: int, seconds: float, repeats: int, log: Path
) -> InspectedLoad:
    """Runs streams of a language model, in turns alone and beside inspections of the same model.

    Args:
        models: directory of artifacts.
        model: name of a character model.
        streams: number of concurrent streams.
        tokens: of each inspected text; inspections follow each other without a pause.
        seconds: of each load.
        repeats: loads of each kind.
        log: file for the output of the service.
    """
    bodies = [{"model": model, "prompt": TEXT[:7], "max_tokens": STREAM_TOKENS, "seed": 1}]
    load = Load(bodies, streams=streams, seconds=seconds)
    results = InspectedLoad()
    with start_server(UNROLL, {"artifact": models}, log) as server:
        run_load(UNROLL, server, Load(bodies, streams=streams, seconds=seconds / 2))  # warm-up
        inspect(server, model, tokens)
        for _ in range(repeats):
            results.without.append(run_load(UNROLL, server, load))
            with continual_inspections(server, model, tokens, results.inspection_seconds):
                results.during.append(run_load(UNROLL, server, load))
    return results


@contextmanager
def continual_inspections(
    server: RunningServer, model: str, tokens: int, seconds: list[float]
) -> Iterator[None]:
    """Inspects one text after the other until the context is left; appends the time of each."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            begin = time.perf_counter()
            inspect(server, model, tokens)
            seconds.append(time.perf_counter() - begin)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def inspect(server: RunningServer, model: str, tokens: int) -> None:
    """One inspection with all activations. Raises SystemExit if it is refused."""
    text = (TEXT * (tokens // len(TEXT) + 1))[:tokens]
    body = {"model": model, "text": text, "encoding": "base64"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/inspect", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != http.client.OK:
        raise SystemExit(f"/inspect answered {response.status}: {answer[:600]!r}")
