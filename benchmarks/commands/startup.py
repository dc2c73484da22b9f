"""`startup`: from the start of the process to ready, with the pretrained models."""

import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.commands.paths import PRETRAINED, add_results
from benchmarks.harness import report
from benchmarks.harness.plots import Panel, bars
from benchmarks.harness.report import Report, Table
from benchmarks.harness.statistics import median
from benchmarks.measurements.startup import Starts, measure_starts

NAME = "startup"
QUICK = {"repeats": 2}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `startup`."""
    parser.add_argument("--models", type=Path, default=PRETRAINED, help="directory of artifacts")
    parser.add_argument("--repeats", type=int, default=7)
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    starts = measure_starts(args.models, repeats=args.repeats, log=args.out / "unroll.log")
    print("\n" + report.write(args.out, startup_report(starts, args.models.name)))


def startup_report(starts: Starts, models: str) -> Report:
    """Medians, and the extremes: the first start may have read from the disk."""
    what = {
        f"service, {models}/, to /health/ready": starts.ready,
        "python, import torch": starts.import_torch,
        "python alone": starts.interpreter,
    }
    rows = [
        (name, f"{median(seconds):.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}")
        for name, seconds in what.items()
    ]
    return Report(
        name=NAME,
        title="From the start of the process to ready",
        tables=[Table("Seconds", ("what", "median", "least", "most"), rows)],
        notes=[f"{len(starts.ready)} starts of each, in turns."],
        found=asdict(starts),
        figure=bars(
            [
                [
                    Panel(
                        "Start to ready, median",
                        "seconds",
                        [""],
                        {name: [median(seconds)] for name, seconds in what.items()},
                    )
                ]
            ]
        ),
    )
