"""The service beside its peers with the same weights, machine and load.

One server runs at a time, and the servers take turns within each repeat, so that noise of the
machine affects all of them. Summaries hold medians over the repeats.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.load_client import (
    WARM_UP_ROUNDS,
    WARM_UP_SECONDS,
    Load,
    LoadResult,
    run_load,
)
from benchmarks.harness.servers import CANNED, ServerSpec, start_server
from benchmarks.harness.statistics import ratio
from benchmarks.harness.untrained_artifact import synthetic_prompt

WARM_UP_TOKENS = 8
KEY_FIELDS = ("size", "server", "streams")


@dataclass(frozen=True)
class ServingPlan:
    """Combinations to measure and the duration of each measurement; ``artifacts`` by size."""

    artifacts: dict[str, Path]
    servers: Sequence[ServerSpec]
    streams: Sequence[int]
    max_tokens: int
    prompt_words: int
    seconds: float
    longest: float
    repeats: int
    logs: Path

    def load(self, streams: int) -> Load:
        """The measured load."""
        return Load([self.body(self.max_tokens)], streams, self.seconds, self.longest)

    def warm_up(self, streams: int) -> Load:
        """The load before it, so that every server has run batches of this size."""
        body = self.body(min(WARM_UP_TOKENS, self.max_tokens))
        return Load([body], streams, WARM_UP_SECONDS, rounds=WARM_UP_ROUNDS)

    def body(self, max_tokens: int) -> dict[str, Any]:
        """The body of a request."""
        return {"prompt": synthetic_prompt(self.prompt_words), "max_tokens": max_tokens}


@dataclass(frozen=True, kw_only=True)
class ServingMeasurement:
    """One server under one load. Times in milliseconds; medians over repeats in a summary.

    ``stream_gap`` is the mean time per token of a stream after its first write. ``write_gap`` is
    the time between two writes of a stream, which hold ``tokens_per_write`` tokens on average.
    """

    size: str
    server: str
    streams: int
    tokens_per_second: float
    first_token_p50: float
    first_token_p99: float
    stream_gap_p50: float
    stream_gap_p99: float
    write_gap_p50: float
    write_gap_p99: float
    tokens_per_write: float
    processor_seconds_per_1000_tokens: float
    memory_megabytes: float
    requests: float
    generator_processor_share: float


@dataclass(frozen=True)
class GeneratorCheck:
    """Tokens per second of the load generator with a server of canned streams."""

    streams: int
    tokens_per_write: int
    tokens_per_second: float


def measure_all(plan: ServingPlan) -> list[ServingMeasurement]:
    """Measures every server under every load, in all repeats."""
    measurements = []
    for repeat in range(plan.repeats):
        for size in plan.artifacts:
            for streams in plan.streams:
                for spec in plan.servers:
                    measurement = measure(plan, spec, size, streams)
                    measurements.append(measurement)
                    print(
                        f"{repeat + 1}/{plan.repeats}  {size:7} {spec.name:13} "
                        f"{streams:3} streams {measurement.tokens_per_second:8.0f} tokens/s",
                        flush=True,
                    )
    return measurements


def measure(plan: ServingPlan, spec: ServerSpec, size: str, streams: int) -> ServingMeasurement:
    """Starts a server, warms it up, measures it under load, and ends it."""
    log = plan.logs / f"{spec.name.replace(' ', '-').lower()}.log"
    placeholders = {"artifact": plan.artifacts[size], "streams": streams}
    with start_server(spec, placeholders, log) as server:
        run_load(spec, server, plan.warm_up(streams))
        result = run_load(spec, server, plan.load(streams))
        memory = server.memory_bytes()
    return measurement_from(result, size=size, server=spec.name, memory=memory)


def measurement_from(
    result: LoadResult, *, size: str, server: str, memory: int
) -> ServingMeasurement:
    """A measurement in the units of the tables; ``memory`` in bytes."""
    first, stream, write = (
        [1e3 * seconds for seconds in pair]
        for pair in (result.first_tokens, result.stream_gaps, result.piece_gaps)
    )
    return ServingMeasurement(
        size=size,
        server=server,
        streams=result.streams,
        tokens_per_second=result.per_second,
        first_token_p50=first[0],
        first_token_p99=first[1],
        stream_gap_p50=stream[0],
        stream_gap_p99=stream[1],
        write_gap_p50=write[0],
        write_gap_p99=write[1],
        tokens_per_write=ratio(result.tokens, result.pieces),
        processor_seconds_per_1000_tokens=result.processor_seconds_per_1000,
        memory_megabytes=memory / 1e6,
        requests=result.requests,
        generator_processor_share=result.own_processor_share,
    )


def check_generator(plan: ServingPlan) -> list[GeneratorCheck]:
    """Measures canned streams under the same load, with 1 and with 8 tokens in a write.

    The service writes bursts of 8 tokens.
    """
    checks = []
    streams = max(plan.streams)
    for per_write in (1, 8):
        placeholders = {"tokens": plan.max_tokens, "per_write": per_write}
        with start_server(CANNED, placeholders, plan.logs / "canned.log") as server:
            result = run_load(CANNED, server, plan.load(streams))
        checks.append(GeneratorCheck(streams, per_write, result.per_second))
    return checks
