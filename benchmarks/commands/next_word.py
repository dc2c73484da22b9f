"""`next-word`: requests per second of POST /next-word beside /generate and an empty route."""

import argparse
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import medians_of_repeats, ratio, results_of_repeats
from benchmarks.measurements.next_word import (
    KEY_FIELDS,
    NextWordMeasurement,
    NextWordPlan,
    measure_all,
)

NAME = "next-word"
HELP = "next words beside a token of /generate and an empty FastAPI route"
QUICK = {"clients": [1, 16], "seconds": 2.0, "repeats": 1}
TABLE_COLUMNS = ("clients", "request", "requests/s", "share of the empty route", "p50 / p99, ms")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `next-word`."""
    parser.add_argument(
        "--models",
        type=Path,
        default=PRETRAINED_DIRECTORY,
        help="directory with the artifacts english-word and shakespeare-char",
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=10, help="time of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures the requests in turns, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    plan = NextWordPlan(
        models=args.models,
        clients=args.clients,
        seconds=args.seconds,
        repeats=args.repeats,
        logs=args.out,
    )
    print("\n" + write_report(args.out, next_word_report(measure_all(plan))))


def next_word_report(measurements: list[NextWordMeasurement]) -> Report:
    """The report, with a row for each number of clients and kind of request."""
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    summary.sort(key=lambda median: median.clients)
    limit_name = measurements[0].request
    limits = {
        median.clients: median.requests_per_second
        for median in summary
        if median.request == limit_name
    }
    rows = [
        (
            str(median.clients),
            median.request,
            f"{median.requests_per_second:.0f}",
            f"{ratio(median.requests_per_second, limits[median.clients]):.2f}",
            f"{median.answer_p50:.2f} / {median.answer_p99:.2f}",
        )
        for median in summary
    ]
    return Report(
        name=NAME,
        title="Next words over HTTP",
        tables=[ResultTable("Pretrained models, short prompts", TABLE_COLUMNS, rows, 2)],
        notes=["Medians of repeats. One connection for each request."],
        results=results_of_repeats(summary, measurements),
    )
