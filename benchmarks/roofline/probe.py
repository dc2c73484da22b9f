"""Compiles and runs roofline.cpp. Where there is no compiler that can, a line says so.

Knows its command line and its JSON, and no networks.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent / "roofline.cpp"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-pthread")


@dataclass(frozen=True)
class Limits:
    """Of so many threads together. Per second: multiply-adds (0: unknown) and, by size, bytes."""

    instruction: str
    threads: int
    int8: float
    float32: float
    reads: Mapping[int, float]

    def multiply_adds(self, bytes_per_weight: int) -> float:
        """Those of int8 weights or of float32 weights."""
        return self.int8 if bytes_per_weight == 1 else self.float32


def compiled(directory: Path) -> Path | None:
    """The program, made in this directory; None without a compiler, which is told."""
    program = directory / "limits"
    compiler = os.environ.get("CXX", "g++")
    try:
        done = subprocess.run(
            [compiler, *FLAGS, str(SOURCE), "-o", str(program)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        print(f"No limits: {compiler} cannot be run ({error.strerror}).", flush=True)
        return None
    if done.returncode != 0:
        print(f"No limits: {compiler} refused {SOURCE.name}:\n{done.stderr}", flush=True)
        return None
    return program


def measured(program: Path, threads: int, seconds: float, sizes: Sequence[int]) -> Limits:
    """Runs it once; ``seconds`` for each figure."""
    answer = subprocess.run(
        [str(program), str(threads), str(seconds), *map(str, sizes)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return parsed(answer.stdout)


def parsed(text: str) -> Limits:
    """What the program prints."""
    found = json.loads(text)
    return Limits(
        instruction=str(found["instruction"]),
        threads=int(found["threads"]),
        int8=float(found["int8"]),
        float32=float(found["float32"]),
        reads={int(size): float(rate) for size, rate in found["reads"].items()},
    )


def best(found: Sequence[Limits]) -> Limits:
    """A limit is what is possible: of several runs with the same threads the best figures."""
    first = found[0]
    return Limits(
        instruction=first.instruction,
        threads=first.threads,
        int8=max(one.int8 for one in found),
        float32=max(one.float32 for one in found),
        reads={size: max(one.reads[size] for one in found) for size in first.reads},
    )
