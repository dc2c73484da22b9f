"""Measures the service beside its peers: same weights, same machine, same load, in turns.

One server runs at a time; the servers take turns within each repeat, so that a noisy minute falls
on all of them, and what is told is the median over the repeats. Knows no particular server.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.artifact import prompt_of
from benchmarks.servers import Candidate, Running, started


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long."""

    artifact: Path
    candidates: Sequence[Candidate]
    streams: Sequence[int]
    max_tokens: int
    prompt_words: int
    seconds: float
    repeats: int
    logs: Path


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One server under one load; times in milliseconds. In a summary, medians over repeats."""

    server: str
    streams: int
    tokens_per_second: float
    first_token_p50: float
    first_token_p99: float
    gap_p50: float
    gap_p99: float
    processor_seconds_per_1000_tokens: float
    memory_megabytes: float
    requests: float
    generator_processor_share: float


def measure_all(plan: Plan) -> list[Measurement]:
    """Every candidate under every load, as often as the plan says. In the order it was done."""
    found = []
    for repeat in range(plan.repeats):
        for streams in plan.streams:
            for candidate in plan.candidates:
                found.append(measure(plan, candidate, streams))
                print(
                    f"{repeat + 1}/{plan.repeats}  {candidate.name:13} {streams:3} streams "
                    f"{found[-1].tokens_per_second:8.0f} tokens/s",
                    flush=True,
                )
    return found


def measure(plan: Plan, candidate: Candidate, streams: int) -> Measurement:
    """Starts the server, lets it warm up, loads it, and ends it."""
    log = plan.logs / f"{candidate.name.replace(' ', '-').lower()}.log"
    with started(candidate, plan.artifact, streams, log) as server:
        load(plan, candidate, server, streams, seconds=min(2.0, plan.seconds))
        before = server.processor_seconds()
        tally = load(plan, candidate, server, streams, seconds=plan.seconds)
        used = server.processor_seconds() - before
        memory = server.memory_bytes()
    tokens = max(1, tally["all_tokens"])
    return Measurement(
        server=candidate.name,
        streams=streams,
        tokens_per_second=tally["tokens"] / tally["seconds"],
        first_token_p50=1e3 * quantile(tally["first_tokens"], 0.50),
        first_token_p99=1e3 * quantile(tally["first_tokens"], 0.99),
        gap_p50=1e3 * quantile(tally["gaps"], 0.50),
        gap_p99=1e3 * quantile(tally["gaps"], 0.99),
        processor_seconds_per_1000_tokens=1000 * used / tokens,
        memory_megabytes=memory / 1e6,
        requests=tally["requests"],
        generator_processor_share=tally["own_processor_share"],
    )


def load(
    plan: Plan, candidate: Candidate, server: Running, streams: int, *, seconds: float
) -> dict[str, Any]:
    """Runs the load generator, a process of its own, and returns what it counted."""
    body = {
        "prompt": prompt_of(plan.prompt_words),
        "max_tokens": plan.max_tokens,
        **dict(candidate.extra),
    }
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.load", "--port", str(server.port)),
            *("--path", candidate.path, "--body", json.dumps(body)),
            *("--streams", str(streams), "--seconds", str(seconds)),
        ],
        stdout=subprocess.PIPE,
        check=False,
    )
    if answer.returncode != 0:
        raise SystemExit(f"{candidate.name}: the load could not be put on it; see {plan.logs}")
    tally: dict[str, Any] = json.loads(answer.stdout)
    return tally


def summarise(found: Sequence[Measurement]) -> list[Measurement]:
    """One measurement for each server and load: the median of every figure."""
    groups: dict[tuple[int, str], list[Measurement]] = {}
    for one in found:
        groups.setdefault((one.streams, one.server), []).append(one)
    return [
        Measurement(
            server=server,
            streams=streams,
            **{
                name: statistics.median(getattr(one, name) for one in group)
                for name in Measurement.__dataclass_fields__
                if name not in {"server", "streams"}
            },
        )
        for (streams, server), group in sorted(groups.items(), key=lambda item: item[0][0])
    ]


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed; nan where there are none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
