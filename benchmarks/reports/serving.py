"""The report of the service beside its peers, with a table for each size.

The first server of the measurements is the reference of the others.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.harness.plots import Panel, bar_charts
from benchmarks.harness.report import Report, ResultTable
from benchmarks.harness.statistics import NAN, group_by, medians_of_repeats, ratio
from benchmarks.measurements.serving import KEY_FIELDS, GeneratorCheck, ServingMeasurement

TABLE_COLUMNS = (
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
GAP_DEFINITIONS = (
    "A write may hold several tokens. The mean gap per token of a stream is the time from its "
    "first write to its last, divided by the tokens after the first write; its quantiles are over "
    "streams. The gap between writes is the time between two writes of a stream, however many "
    "tokens they hold. A dash: no stream had a second write within the time."
)


def serving_report(
    measurements: Sequence[ServingMeasurement],
    checks: Sequence[GeneratorCheck],
    titles: Mapping[str, str],
    max_tokens: int,
    kernel: str,
) -> Report:
    """The report.

    Args:
        measurements: of all repeats.
        checks: of the load generator.
        titles: descriptions of the sizes.
        max_tokens: of each request.
        kernel: description of the service's kernel.
    """
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    by_size = group_by(summary, lambda median: median.size)
    tables = [
        ResultTable(
            f"{size}: LSTM {titles[size]}", TABLE_COLUMNS, table_rows(medians), text_columns=2
        )
        for size, medians in by_size.items()
    ]
    reference = measurements[0].server
    return Report(
        name="serve",
        title=f"The service beside its peers, {max_tokens} tokens per request",
        tables=tables,
        notes=[
            f"Medians of repeats. ratio: tokens/s of {reference} by tokens/s of the server.",
            f"Unroll ran on {kernel}.",
            GAP_DEFINITIONS,
            generator_note(summary, checks),
        ],
        results={
            "summary": [asdict(median) for median in summary],
            "repeats": [asdict(measurement) for measurement in measurements],
            "kernel": kernel,
            "generator": [asdict(check) for check in checks],
        },
        figure=bar_charts(
            [
                [panel(medians, f"{size}: {title}", field) for title, field in PANELS]
                for size, medians in by_size.items()
            ]
        ),
    )


def table_rows(summary: Sequence[ServingMeasurement]) -> list[tuple[str, ...]]:
    """The rows of one size, by number of streams, then by server in the order of measurement."""
    pairs = zip(summary, ratios_to_first(summary), strict=True)
    ordered = sorted(pairs, key=lambda pair: pair[0].streams)
    return [table_row(measurement, speedup) for measurement, speedup in ordered]


def ratios_to_first(summary: Sequence[ServingMeasurement]) -> list[float]:
    """Tokens/s of the first server with as many streams, divided by tokens/s of each server."""
    reference = {
        measurement.streams: measurement.tokens_per_second
        for measurement in summary
        if measurement.server == summary[0].server
    }
    return [
        ratio(reference.get(measurement.streams, NAN), measurement.tokens_per_second)
        for measurement in summary
    ]


def table_row(measurement: ServingMeasurement, speedup: float) -> tuple[str, ...]:
    """The cells of one row, in the order of TABLE_COLUMNS."""
    return (
        str(measurement.streams),
        measurement.server,
        f"{measurement.tokens_per_second:.0f}",
        format_number(speedup, 1, "x"),
        format_pair(measurement.first_token_p50, measurement.first_token_p99, 1),
        format_pair(measurement.stream_gap_p50, measurement.stream_gap_p99, 3),
        format_pair(measurement.write_gap_p50, measurement.write_gap_p99, 2),
        format_number(measurement.tokens_per_write, 1),
        format_number(measurement.processor_seconds_per_1000_tokens, 3),
        f"{measurement.memory_megabytes:.0f}",
    )


def format_pair(p50: float, p99: float, decimals: int) -> str:
    """Two quantiles of one quantity."""
    return f"{format_number(p50, decimals)} / {format_number(p99, decimals)}"


def format_number(value: float, decimals: int, unit: str = "") -> str:
    """A number, or a dash for nan."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}{unit}"


def generator_note(summary: Sequence[ServingMeasurement], checks: Sequence[GeneratorCheck]) -> str:
    """The CPU share of the load generator, and its speed compared with the fastest server."""
    share = max(measurement.generator_processor_share for measurement in summary)
    fastest = max(measurement.tokens_per_second for measurement in summary)
    speeds = "; ".join(
        f"{check.tokens_per_second:.0f} tokens/s with {check.tokens_per_write} in a write "
        f"({ratio(check.tokens_per_second, fastest):.1f} times the fastest server here)"
        for check in checks
    )
    return (
        f"The load generator used at most {share:.0%} of one core. With canned streams, which cost "
        f"the server nothing, it counted at {checks[0].streams} streams: {speeds}."
    )


def panel(summary: Sequence[ServingMeasurement], title: str, field: str) -> Panel:
    """The bars of one field by server and number of streams."""
    streams = sorted({measurement.streams for measurement in summary})
    values = {
        (measurement.server, measurement.streams): getattr(measurement, field)
        for measurement in summary
    }
    servers = dict.fromkeys(measurement.server for measurement in summary)
    series = {server: [values.get((server, count), NAN) for count in streams] for server in servers}
    axis = title.rpartition(": ")[2]
    return Panel(title, axis, [f"{count} streams" for count in streams], series, logarithmic=True)
