"""Measures the service beside its peers: same weights, same machine, same load, in turns.

One server runs at a time; the servers take turns within each repeat, so that a noisy minute falls
on all of them, and what is told is the median over the repeats. Knows no particular server.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.harness.load_client import WARM_UP_ROUNDS, WARM_UP_SECONDS, Load, Tally, put_on
from benchmarks.harness.servers import CANNED, Candidate, started
from benchmarks.harness.statistics import grouped, median, ratio
from benchmarks.harness.untrained_artifact import prompt_of

WARM_UP_TOKENS = 8
IDENTITY = ("size", "server", "streams")


@dataclass(frozen=True)
class Plan:
    """What is measured, and for how long. ``artifacts``: one for each size, by its name."""

    artifacts: dict[str, Path]
    candidates: Sequence[Candidate]
    streams: Sequence[int]
    max_tokens: int
    prompt_words: int
    seconds: float
    longest: float
    repeats: int
    logs: Path

    def load(self, streams: int) -> Load:
        """What is counted."""
        return Load([self.body(self.max_tokens)], streams, self.seconds, self.longest)

    def warm_up(self, streams: int) -> Load:
        """What goes before, so that every server has run batches of this width."""
        body = self.body(min(WARM_UP_TOKENS, self.max_tokens))
        return Load([body], streams, WARM_UP_SECONDS, rounds=WARM_UP_ROUNDS)

    def body(self, max_tokens: int) -> dict[str, Any]:
        """One request."""
        return {"prompt": prompt_of(self.prompt_words), "max_tokens": max_tokens}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One server under one load; times in milliseconds. In a summary, medians over repeats.

    ``stream_gap``: for each stream the mean time per token after its first piece. ``write_gap``:
    between two pieces of a stream, which hold ``tokens_per_write`` tokens.
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
    """What the load generator counted of streams that cost nothing to make."""

    streams: int
    tokens_per_write: int
    tokens_per_second: float


def measure_all(plan: Plan) -> list[Measurement]:
    """Every candidate under every load, as often as the plan says. In the order it was done."""
    found = []
    for repeat in range(plan.repeats):
        for size in plan.artifacts:
            for streams in plan.streams:
                for candidate in plan.candidates:
                    found.append(measure(plan, candidate, size, streams))
                    print(
                        f"{repeat + 1}/{plan.repeats}  {size:7} {candidate.name:13} "
                        f"{streams:3} streams {found[-1].tokens_per_second:8.0f} tokens/s",
                        flush=True,
                    )
    return found


def measure(plan: Plan, candidate: Candidate, size: str, streams: int) -> Measurement:
    """Starts the server, lets it warm up, loads it, and ends it."""
    log = plan.logs / f"{candidate.name.replace(' ', '-').lower()}.log"
    filling = {"artifact": plan.artifacts[size], "streams": streams}
    with started(candidate, filling, log) as server:
        put_on(candidate, server, plan.warm_up(streams))
        tally = put_on(candidate, server, plan.load(streams))
        memory = server.memory_bytes()
    return measurement_of(tally, size=size, server=candidate.name, memory=memory)


def measurement_of(tally: Tally, *, size: str, server: str, memory: int) -> Measurement:
    """A tally in the units of the tables."""
    first, stream, write = (
        [1e3 * seconds for seconds in pair]
        for pair in (tally.first_tokens, tally.stream_gaps, tally.piece_gaps)
    )
    return Measurement(
        size=size,
        server=server,
        streams=tally.streams,
        tokens_per_second=tally.per_second,
        first_token_p50=first[0],
        first_token_p99=first[1],
        stream_gap_p50=stream[0],
        stream_gap_p99=stream[1],
        write_gap_p50=write[0],
        write_gap_p99=write[1],
        tokens_per_write=ratio(tally.tokens, tally.pieces),
        processor_seconds_per_1000_tokens=tally.processor_seconds_per_1000,
        memory_megabytes=memory / 1e6,
        requests=tally.requests,
        generator_processor_share=tally.own_processor_share,
    )


def check_generator(plan: Plan) -> list[GeneratorCheck]:
    """The same load on canned streams: one token in a write, and as many as our bursts have."""
    found = []
    streams = max(plan.streams)
    for per_write in (1, 8):
        filling = {"tokens": plan.max_tokens, "per_write": per_write}
        with started(CANNED, filling, plan.logs / "canned.log") as server:
            tally = put_on(CANNED, server, plan.load(streams))
        found.append(GeneratorCheck(streams, per_write, tally.per_second))
    return found


def summarize(found: Sequence[Measurement]) -> list[Measurement]:
    """One measurement for each size, load and server: the median of every figure."""
    names = [field.name for field in fields(Measurement) if field.name not in IDENTITY]
    groups = grouped(found, lambda one: (one.size, one.server, one.streams))
    return [
        Measurement(
            size=size,
            server=server,
            streams=streams,
            **{name: median(getattr(one, name) for one in group) for name in names},
        )
        for (size, server, streams), group in groups.items()
    ]
