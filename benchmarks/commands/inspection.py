"""`inspection`: the gap between tokens of streams while texts are inspected."""

import argparse
from dataclasses import asdict

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.load_client import LoadResult
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import median
from benchmarks.measurements.inspections import InspectedLoad, measure_inspected_load

NAME = "inspection"
HELP = "gap between tokens of streams while texts are inspected"
QUICK = {"repeats": 2, "seconds": 4.0}
COLUMNS = ("load", "gap per token, median", "p99", "gap between writes, p99", "tokens/s")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `inspection`."""
    parser.add_argument("--model", default="shakespeare-char", help="a pretrained character model")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=2000, help="of each inspected text")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load")
    parser.add_argument("--repeats", type=int, default=5)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    results = measure_inspected_load(
        PRETRAINED_DIRECTORY,
        args.model,
        streams=args.streams,
        tokens=args.tokens,
        seconds=args.seconds,
        repeats=args.repeats,
        log=args.out / "unroll.log",
    )
    print("\n" + write_report(args.out, inspection_report(results, args)))


def inspection_report(results: InspectedLoad, args: argparse.Namespace) -> Report:
    """The report, with medians over the repeats."""
    rows = [
        _row("alone", results.without),
        _row(f"beside inspections of {args.tokens} tokens", results.during),
    ]
    inspections = results.inspection_seconds
    growth = (
        f"The median gap grows by {results.gap_ratio:.2f}x. {len(inspections)} inspections, one "
        f"after the other, took {median(inspections):.2f} s each (median)."
    )
    loads = (
        f"{args.streams} streams of {args.model} over HTTP; {args.repeats} loads of "
        f"{args.seconds:g} s of each kind, in turns."
    )
    return Report(
        name=NAME,
        title="Streams beside inspections",
        tables=[ResultTable("Gaps in ms", COLUMNS, rows)],
        notes=[growth, loads],
        results={**asdict(results), "gap_ratio": results.gap_ratio},
    )


def _row(name: str, loads: list[LoadResult]) -> tuple[str, ...]:
    gaps = [
        median([load.stream_gaps[0] for load in loads]),
        median([load.stream_gaps[1] for load in loads]),
        median([load.piece_gaps[1] for load in loads]),
    ]
    per_second = median([load.per_second for load in loads])
    return name, *(f"{1e3 * gap:.2f}" for gap in gaps), f"{per_second:,.0f}"
