"""How long the service takes from the start of its process until it says that it is ready.

Beside it what cannot be had for less: an interpreter that imports torch and ends. Knows nothing of
what happens within.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.servers import UNROLL, started


@dataclass(frozen=True)
class Starts:
    """Seconds of each start, in turns with the others."""

    ready: Sequence[float]
    import_torch: Sequence[float]
    interpreter: Sequence[float]


def measure_starts(models: Path, *, repeats: int, log: Path) -> Starts:
    """Starts, waits, ends; as often as asked for."""
    ready, importing, nothing = [], [], []
    for _ in range(repeats):
        nothing.append(_seconds_of("pass"))
        importing.append(_seconds_of("import torch"))
        begin = time.perf_counter()
        with started(UNROLL, {"artifact": models}, log):
            ready.append(time.perf_counter() - begin)
        print(f"ready after {ready[-1]:.2f} s, import torch {importing[-1]:.2f} s", flush=True)
    return Starts(ready, importing, nothing)


def _seconds_of(statement: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - begin
