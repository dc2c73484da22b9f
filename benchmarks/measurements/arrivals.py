"""The first-token latency of streams, by the pattern in which their requests arrive.

Three patterns: one client alone; many clients that ask at once and again when their stream ends
(all streams have the same length, so they end together); and Poisson arrivals at half of the
requests per second that the second pattern reached. The same server runs all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.load_client import (
    WARM_UP_ROUNDS,
    WARM_UP_SECONDS,
    Load,
    LoadResult,
    run_load,
)
from benchmarks.harness.servers import ServerSpec, start_server
from benchmarks.harness.untrained_artifact import synthetic_prompt

KEY_FIELDS = ("server", "pattern")
CAPACITY_SHARE = 0.5


@dataclass(frozen=True)
class ArrivalPlan:
    """The clients that ask at once, their requests, and the duration of each measurement."""

    artifact: Path
    servers: Sequence[ServerSpec]
    clients: int
    max_tokens: int
    prompt_words: int
    seconds: float
    longest: float
    repeats: int
    logs: Path

    def load(self, clients: int, rate: float = 0.0) -> Load:
        """A load of this many clients, or of this many arrivals a second."""
        body = {"prompt": synthetic_prompt(self.prompt_words), "max_tokens": self.max_tokens}
        longest = self.seconds + self.longest
        return Load([body], clients, self.seconds, longest, rate=rate)

    def warm_up(self) -> Load:
        """The load before the measurement."""
        body = {"prompt": synthetic_prompt(self.prompt_words), "max_tokens": 8}
        return Load([body], self.clients, WARM_UP_SECONDS, rounds=WARM_UP_ROUNDS)


@dataclass(frozen=True, kw_only=True)
class ArrivalMeasurement:
    """One server under one pattern. Times in milliseconds; medians over repeats in a summary."""

    server: str
    pattern: str
    requests_per_second: float
    tokens_per_second: float
    first_token_p50: float
    first_token_p99: float
    stream_gap_p50: float
    stream_gap_p99: float
    generator_processor_share: float


def measure_all(plan: ArrivalPlan) -> list[ArrivalMeasurement]:
    """Measures every pattern with every server, in all repeats."""
    measurements = []
    for repeat in range(plan.repeats):
        for spec in plan.servers:
            for measurement in measure(plan, spec):
                measurements.append(measurement)
                print(
                    f"{repeat + 1}/{plan.repeats}  {spec.name:13} {measurement.pattern}: first "
                    f"token {measurement.first_token_p50:.1f} / "
                    f"{measurement.first_token_p99:.1f} ms",
                    flush=True,
                )
    return measurements


def measure(plan: ArrivalPlan, spec: ServerSpec) -> list[ArrivalMeasurement]:
    """The patterns with one server, which is started and ended."""
    log = plan.logs / f"{spec.name.replace(' ', '-').lower()}.log"
    placeholders = {"artifact": plan.artifact, "streams": plan.clients}
    with start_server(spec, placeholders, log) as server:
        run_load(spec, server, plan.warm_up())
        alone = run_load(spec, server, plan.load(1))
        at_once = run_load(spec, server, plan.load(plan.clients))
        rate = CAPACITY_SHARE * at_once.requests / at_once.seconds
        poisson = run_load(spec, server, plan.load(plan.clients, rate))
    return [
        _measurement(spec, "1 client", alone),
        _measurement(spec, f"{plan.clients} clients at once, again when they end", at_once),
        _measurement(spec, "Poisson arrivals at half of the capacity", poisson),
    ]


def _measurement(spec: ServerSpec, pattern: str, result: LoadResult) -> ArrivalMeasurement:
    first, gap = (
        [1e3 * seconds for seconds in pair] for pair in (result.first_tokens, result.stream_gaps)
    )
    return ArrivalMeasurement(
        server=spec.name,
        pattern=pattern,
        requests_per_second=result.requests / result.seconds,
        tokens_per_second=result.per_second,
        first_token_p50=first[0],
        first_token_p99=first[1],
        stream_gap_p50=gap[0],
        stream_gap_p99=gap[1],
        generator_processor_share=result.own_processor_share,
    )
