"""Runs the load generator against a server and measures the server's CPU time meanwhile."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.servers import RunningServer, ServerSpec
from benchmarks.harness.statistics import ratio

WARM_UP_ROUNDS = 2
WARM_UP_SECONDS = 120.0  # upper bound


@dataclass(frozen=True)
class Load:
    """A load.

    Args:
        bodies: JSON bodies of the requests, sent in turn.
        streams: number of concurrent clients.
        seconds: duration.
        longest: extend the duration until every stream has one response, up to this many seconds.
        rounds: requests of each client, 0 for no bound.
        mark: text that is counted as one token of a response.
        rate: Poisson arrivals a second in place of the streams, 0 for streams.
    """

    bodies: Sequence[dict[str, Any]]
    streams: int
    seconds: float
    longest: float = 0.0
    rounds: int = 0
    mark: str = "data:"
    rate: float = 0.0


@dataclass(frozen=True)
class LoadResult:
    """Counts within the duration. Quantiles are pairs of p50 and p99, in seconds."""

    streams: int
    seconds: float
    own_processor_share: float
    tokens: int
    pieces: int
    requests: int
    first_tokens: tuple[float, float]
    piece_gaps: tuple[float, float]
    stream_gaps: tuple[float, float]
    server_processor_seconds: float

    @property
    def per_second(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds

    @property
    def processor_seconds_per_1000(self) -> float:
        """CPU seconds of the server per 1000 tokens."""
        return ratio(1000 * self.server_processor_seconds, self.tokens)


def run_load(spec: ServerSpec, server: RunningServer, load: Load) -> LoadResult:
    """Puts a load on a running server. Raises SystemExit if a request fails."""
    with _bodies_file(spec, load) as bodies:
        cpu_seconds_before = server.processor_seconds()
        generator = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.harness.load_generator"),
                *("--port", str(server.port), "--path", spec.path),
                *("--bodies", str(bodies), "--mark", load.mark),
                *("--streams", str(load.streams), "--seconds", str(load.seconds)),
                *("--longest", str(load.longest), "--rounds", str(load.rounds)),
                *("--rate", str(load.rate)),
            ],
            stdout=subprocess.PIPE,
        )
        assert generator.stdout is not None
        with generator.stdout:
            generator.stdout.readline()  # an empty line at the end of the duration
            cpu_seconds = server.processor_seconds() - cpu_seconds_before
            counts = generator.stdout.read()
        if generator.wait() != 0:
            raise SystemExit(f"{spec.name}: the load generator failed")
    return LoadResult(server_processor_seconds=cpu_seconds, **json.loads(counts))


@contextmanager
def _bodies_file(spec: ServerSpec, load: Load) -> Iterator[Path]:
    lines = [json.dumps({**body, **dict(spec.extra)}) for body in load.bodies]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "bodies.jsonl"
        file.write_text("\n".join(lines), encoding="utf-8")
        yield file
