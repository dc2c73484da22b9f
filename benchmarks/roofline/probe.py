"""The machine's limits, measured by roofline.cpp, which is compiled when it is needed."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "roofline.cpp"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-pthread")


@dataclass(frozen=True)
class RooflineLimits:
    """The limits of a number of threads together.

    Args:
        instruction: of the int8 peak.
        threads: running at the same time.
        int8: multiply-adds per second, 0 if unknown.
        float32: multiply-adds per second.
        reads: bytes per second by the size of the array in bytes.
    """

    instruction: str
    threads: int
    int8: float
    float32: float
    reads: Mapping[int, float]

    def multiply_adds(self, bytes_per_weight: int) -> float:
        """Multiply-adds per second with weights of this width, 1 (int8) or 4 (float32)."""
        return self.int8 if bytes_per_weight == 1 else self.float32


def compile_probe(directory: Path) -> Path | None:
    """Compiles the probe in a directory; prints a line and returns None if that fails."""
    program = directory / "limits"
    compiler = os.environ.get("CXX", "g++")
    try:
        compilation = subprocess.run(
            [compiler, *FLAGS, str(SOURCE), "-o", str(program)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        print(f"No limits: {compiler} cannot be run ({error.strerror}).", flush=True)
        return None
    if compilation.returncode != 0:
        errors = compilation.stderr
        print(f"No limits: {compiler} cannot compile {SOURCE.name}:\n{errors}", flush=True)
        return None
    return program


def run_probe(program: Path, threads: int, seconds: float, sizes: Sequence[int]) -> RooflineLimits:
    """Measures the limits once.

    Args:
        program: the compiled probe.
        threads: to run at the same time.
        seconds: of each measurement.
        sizes: of the arrays to read, in bytes.
    """
    process = subprocess.run(
        [str(program), str(threads), str(seconds), *map(str, sizes)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return parse_limits(process.stdout)


def parse_limits(text: str) -> RooflineLimits:
    """Parses the JSON output of the probe."""
    values = json.loads(text)
    return RooflineLimits(
        instruction=str(values["instruction"]),
        threads=int(values["threads"]),
        int8=float(values["int8"]),
        float32=float(values["float32"]),
        reads={int(size): float(rate) for size, rate in values["reads"].items()},
    )


def best_limits(runs: Sequence[RooflineLimits]) -> RooflineLimits:
    """The largest values of several runs with the same number of threads."""
    first = runs[0]
    return RooflineLimits(
        instruction=first.instruction,
        threads=first.threads,
        int8=max(run.int8 for run in runs),
        float32=max(run.float32 for run in runs),
        reads={size: max(run.reads[size] for run in runs) for size in first.reads},
    )
