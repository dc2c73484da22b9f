"""`short-requests`: short requests beside empty FastAPI routes with the same models."""

import argparse
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import medians_of_repeats, results_of_repeats
from benchmarks.measurements.short_requests import (
    KEY_FIELDS,
    ShortRequestMeasurement,
    ShortRequestPlan,
    measure_all,
)

NAME = "short-requests"
HELP = "short requests beside empty FastAPI routes with the same models"
QUICK = {"connections": [1, 16], "seconds": 2.0, "repeats": 1}
TABLE_COLUMNS = (
    "connections",
    "request",
    "requests/s",
    "empty route",
    "share",
    "p50 / p99, ms",
    "empty route",
    "CPU us",
    "empty route",
    "share",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `short-requests`."""
    parser.add_argument(
        "--models",
        type=Path,
        default=PRETRAINED_DIRECTORY,
        help="directory with the artifacts english-word and sentiment",
    )
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=5, help="time of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures in turns, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    plan = ShortRequestPlan(
        models=args.models,
        connections=args.connections,
        seconds=args.seconds,
        repeats=args.repeats,
        logs=args.out,
    )
    print("\n" + write_report(args.out, short_request_report(measure_all(plan))))


def short_request_report(measurements: list[ShortRequestMeasurement]) -> Report:
    """The report, with a row for each case and kind of request."""
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    rows = [
        (
            f"{median.connections}{', busy neighbor' if median.neighbor else ''}",
            median.request,
            f"{median.requests_per_second:.0f}",
            f"{median.empty_per_second:.0f}",
            f"{median.share:.2f}",
            f"{median.answer_p50:.2f} / {median.answer_p99:.2f}",
            f"{median.empty_p50:.2f} / {median.empty_p99:.2f}",
            f"{median.cpu_microseconds:.0f}",
            f"{median.empty_cpu_microseconds:.0f}",
            f"{median.cpu_share:.2f}",
        )
        for median in summary
    ]
    return Report(
        name=NAME,
        title="Short requests over HTTP",
        tables=[ResultTable("Pretrained models", TABLE_COLUMNS, rows, text_columns=2)],
        notes=[
            "Medians of repeats. Shares are taken in each repeat, from two runs in succession.",
            "CPU time is that of the server for one request; its share depends less on other load.",
        ],
        results=results_of_repeats(summary, measurements),
    )
