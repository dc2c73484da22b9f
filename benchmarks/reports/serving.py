"""What serving beside the peers gave, as a table for each size and a figure.

The order of the servers is that of the measurements; the first one is what the others are
compared with. Knows no server and no clock.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.harness.plots import Panel, bars
from benchmarks.harness.report import Report, Table
from benchmarks.harness.statistics import NONE, grouped, ratio
from benchmarks.measurements.serving import GeneratorCheck, Measurement, summarize

HEADINGS = (
    "streams",
    "server",
    "tokens/s",
    "ratio",
    "first token ms, p50 / p99",
    "mean gap per token of a stream ms, p50 / p99",
    "gap between writes ms, p50 / p99",
    "tokens per write",
    "CPU s / 1000 tokens",
    "memory MB",
)
PANELS = (
    ("tokens/s", "tokens_per_second"),
    ("first token, p99, ms", "first_token_p99"),
    ("mean gap per token of a stream, p50, ms", "stream_gap_p50"),
)
HOW_GAPS_ARE_COUNTED = (
    "Tokens may arrive several in one write. The mean gap per token is, for each stream, the time "
    "from its first write to its last over the tokens that came after the first write; its "
    "quantiles are over streams. The gap between writes is what a reader waits for the next piece, "
    "however many tokens it holds. A dash: no stream got that far within the time."
)


def serving_report(
    found: Sequence[Measurement],
    checks: Sequence[GeneratorCheck],
    titles: Mapping[str, str],
    max_tokens: int,
    kernel: str,
) -> Report:
    """All of it. ``titles``: the sizes in words; ``kernel``: what the service ran on."""
    summary = summarize(found)
    by_size = grouped(summary, lambda one: one.size)
    tables = [
        Table(f"{size}: LSTM {titles[size]}", HEADINGS, rows(part), texts=2)
        for size, part in by_size.items()
    ]
    return Report(
        name="serving",
        title=f"The service beside its peers, {max_tokens} tokens a request",
        tables=tables,
        notes=[
            f"Medians of repeats. ratio: {found[0].server}'s tokens/s over this server's.",
            f"Unroll ran on {kernel}.",
            HOW_GAPS_ARE_COUNTED,
            generator_note(summary, checks),
        ],
        found={
            "summary": [asdict(one) for one in summary],
            "repeats": [asdict(one) for one in found],
            "kernel": kernel,
            "generator": [asdict(one) for one in checks],
        },
        figure=bars(
            [
                [panel(part, f"{size}: {title}", name) for title, name in PANELS]
                for size, part in by_size.items()
            ]
        ),
    )


def rows(part: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """The lines of one size's table, loads in order, servers in the order of the run."""
    ratios = ratios_to_the_first(part)
    order = sorted(range(len(part)), key=lambda index: part[index].streams)
    return [row(part[index], ratios[index]) for index in order]


def ratios_to_the_first(part: Sequence[Measurement]) -> list[float]:
    """How many times as fast the first server is, at the same number of streams."""
    first = part[0].server
    ours = {one.streams: one.tokens_per_second for one in part if one.server == first}
    return [ratio(ours.get(one.streams, NONE), one.tokens_per_second) for one in part]


def row(one: Measurement, times: float) -> tuple[str, ...]:
    """One line of the table, under the headings."""
    return (
        str(one.streams),
        one.server,
        f"{one.tokens_per_second:.0f}",
        known(times, 1, "x"),
        pair(one.first_token_p50, one.first_token_p99, 1),
        pair(one.stream_gap_p50, one.stream_gap_p99, 3),
        pair(one.write_gap_p50, one.write_gap_p99, 2),
        known(one.tokens_per_write, 1),
        known(one.processor_seconds_per_1000_tokens, 3),
        f"{one.memory_megabytes:.0f}",
    )


def pair(median: float, tail: float, digits: int) -> str:
    """Two quantiles of one thing."""
    return f"{known(median, digits)} / {known(tail, digits)}"


def known(value: float, digits: int, unit: str = "") -> str:
    """A number, or a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}{unit}"


def generator_note(summary: Sequence[Measurement], checks: Sequence[GeneratorCheck]) -> str:
    """How far the load generator is from being what was measured."""
    share = max(one.generator_processor_share for one in summary)
    fastest = max(one.tokens_per_second for one in summary)
    counted = "; ".join(
        f"{one.tokens_per_second:.0f} tokens/s with {one.tokens_per_write} in a write "
        f"({ratio(one.tokens_per_second, fastest):.1f} times the fastest server here)"
        for one in checks
    )
    return (
        f"The load generator took at most {share:.0%} of one core. Of canned streams, which cost "
        f"nothing to make, it counted at {checks[0].streams} streams: {counted}."
    )


def panel(part: Sequence[Measurement], title: str, name: str) -> Panel:
    """The bars of one figure of one size."""
    streams = sorted({one.streams for one in part})
    groups = grouped(part, lambda one: one.server)
    series = {
        server: [
            next((getattr(one, name) for one in group if one.streams == count), NONE)
            for count in streams
        ]
        for server, group in groups.items()
    }
    axis = title.rpartition(": ")[2]
    return Panel(title, axis, [f"{count} streams" for count in streams], series, logarithmic=True)
