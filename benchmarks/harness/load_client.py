"""Runs the load generator against a started server, and reads what the server used meanwhile.

Knows the command line of the load generator and the shape of its tally; no particular server.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.servers import Candidate, Running
from benchmarks.harness.statistics import ratio

WARM_UP_ROUNDS = 2
WARM_UP_SECONDS = 120.0  # at most


@dataclass(frozen=True)
class Load:
    """What is sent, by how many at once, for how long; ``mark`` is what counts as a token.

    ``longest``: the time goes on until every stream has had one answer, but no longer than this.
    With ``rounds`` each asks so often and no more.
    """

    bodies: Sequence[dict[str, Any]]
    streams: int
    seconds: float
    longest: float = 0.0
    rounds: int = 0
    mark: str = "data:"


@dataclass(frozen=True)
class Tally:
    """What the generator counted within the time; quantiles are pairs, p50 and p99, in seconds."""

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
        """Tokens."""
        return self.tokens / self.seconds

    @property
    def processor_seconds_per_1000(self) -> float:
        """What the server used for a thousand tokens."""
        return ratio(1000 * self.server_processor_seconds, self.tokens)


def put_on(candidate: Candidate, server: Running, load: Load) -> Tally:
    """Loads the server. Exits if a request fails."""
    with _bodies_file(candidate, load) as bodies:
        before = server.processor_seconds()
        generator = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "benchmarks.harness.load_generator",
                    "--port",
                    str(server.port),
                ),
                *("--path", candidate.path, "--bodies", str(bodies), "--mark", load.mark),
                *("--streams", str(load.streams), "--seconds", str(load.seconds)),
                *("--longest", str(load.longest), "--rounds", str(load.rounds)),
            ],
            stdout=subprocess.PIPE,
        )
        assert generator.stdout is not None
        with generator.stdout:
            generator.stdout.readline()  # the time is over
            used = server.processor_seconds() - before
            answer = generator.stdout.read()
        if generator.wait() != 0:
            raise SystemExit(f"{candidate.name}: the load could not be put on it")
    return Tally(server_processor_seconds=used, **json.loads(answer))


@contextmanager
def _bodies_file(candidate: Candidate, load: Load) -> Iterator[Path]:
    lines = [json.dumps({**body, **dict(candidate.extra)}) for body in load.bodies]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "bodies.jsonl"
        file.write_text("\n".join(lines), encoding="utf-8")
        yield file
