"""What a running service holds: memory, descriptors, threads, sequences."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from tests.support.service.process import RunningService

GAUGES = ("unroll_sequences_running{", "unroll_sequences_waiting{")


@dataclass(frozen=True)
class Resources:
    """A snapshot."""

    memory_bytes: int
    descriptors: int
    threads: int
    sequences: float


def resources_of(service: RunningService) -> Resources:
    """The resources now. The connection of the question is one of the descriptors."""
    process = psutil.Process(service.process.pid)
    lines = service.client.get("/metrics").text.splitlines()
    return Resources(
        memory_bytes=process.memory_info().rss,
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        sequences=sum(float(line.split()[-1]) for line in lines if line.startswith(GAUGES)),
    )


def finished(service: RunningService, model: str) -> dict[str, float]:
    """The sequences of a model that have ended, by reason."""
    name = "unroll_sequences_finished_total"
    counts = {}
    for line in service.client.get("/metrics").text.splitlines():
        if line.startswith(name + "{") and f'model="{model}"' in line:
            series, _, value = line.rpartition(" ")
            counts[series.split('reason="')[1].split('"')[0]] = float(value)
    return counts
