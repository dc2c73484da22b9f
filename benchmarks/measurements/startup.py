"""Time from the start of the service's process until it is ready.

For comparison: an interpreter that ends at once, and one that imports torch.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.servers import UNROLL, start_server


@dataclass(frozen=True)
class StartupTimes:
    """Seconds of each start."""

    ready: Sequence[float]
    import_torch: Sequence[float]
    interpreter: Sequence[float]


def measure_startup(models: Path, *, repeats: int, log: Path) -> StartupTimes:
    """Starts the processes in turns.

    Args:
        models: directory of artifacts.
        repeats: starts of each process.
        log: file to which the service's output is appended.
    """
    ready, import_torch, interpreter = [], [], []
    for _ in range(repeats):
        interpreter.append(_seconds_of("pass"))
        import_torch.append(_seconds_of("import torch"))
        begin = time.perf_counter()
        with start_server(UNROLL, {"artifact": models}, log):
            ready.append(time.perf_counter() - begin)
        print(f"ready after {ready[-1]:.2f} s, import torch {import_torch[-1]:.2f} s", flush=True)
    return StartupTimes(ready, import_torch, interpreter)


def _seconds_of(statement: str) -> float:
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - begin
