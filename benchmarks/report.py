"""Writes what was measured as a table that people read and a file that programs read.

Knows the shape of a measurement, and nothing of how it was made.
"""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.serving import Measurement

HEADINGS = (
    "streams",
    "server",
    "tokens/s",
    "ratio",
    "first token p50 / p99 ms",
    "gap p50 / p99 ms",
    "CPU s / 1000 tokens",
    "memory MB",
)


def machine() -> dict[str, str | int]:
    """What the numbers hold for."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def processor_name() -> str:
    """The processor's own name for itself, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def markdown(summary: Sequence[Measurement], title: str) -> str:
    """A table with one row for each load and server; `ratio` is the first server over this one."""
    rows = [HEADINGS, ("---:", "---", *["---:"] * 6), *map(row, ratios(summary), summary)]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
    where = machine()
    share = max(one.generator_processor_share for one in summary)
    return (
        f"{title}\n\n{table}\n\n"
        f"{where['processor']}, {where['cores']} cores, torch {where['torch']}. Medians. ratio: "
        f"{summary[0].server}'s tokens/s over this server's. The load generator took at most "
        f"{share:.0%} of one core.\n"
    )


def ratios(summary: Sequence[Measurement]) -> Iterable[float]:
    """How many times as fast the first server is, at the same number of streams."""
    first = summary[0].server
    ours = {one.streams: one.tokens_per_second for one in summary if one.server == first}
    return [ours[one.streams] / max(one.tokens_per_second, 1e-9) for one in summary]


def row(ratio: float, one: Measurement) -> tuple[str, ...]:
    """One line of the table, under the headings."""
    return (
        str(one.streams),
        one.server,
        f"{one.tokens_per_second:.0f}",
        f"{ratio:.1f}x",
        f"{one.first_token_p50:.1f} / {one.first_token_p99:.1f}",
        f"{one.gap_p50:.2f} / {one.gap_p99:.2f}",
        f"{one.processor_seconds_per_1000_tokens:.2f}",
        f"{one.memory_megabytes:.0f}",
    )


def write(
    directory: Path, name: str, title: str, summary: Sequence[Measurement], found: Sequence[object]
) -> str:
    """Writes NAME.md and NAME.json into the directory and returns the table."""
    table = markdown(summary, title)
    content = {
        "title": title,
        "machine": machine(),
        "summary": [asdict(one) for one in summary],
        "repeats": [asdict(one) for one in found if isinstance(one, Measurement)],
    }
    (directory / f"{name}.md").write_text(table, encoding="utf-8")
    (directory / f"{name}.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    return table
