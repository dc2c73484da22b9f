"""`startup`: time from the start of the process until the service is ready."""

import argparse
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.plots import Panel, bar_charts
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import median
from benchmarks.measurements.startup import StartupTimes, measure_startup

NAME = "startup"
HELP = "time from the start of the process until the service is ready"
QUICK = {"repeats": 2}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `startup`."""
    parser.add_argument(
        "--models", type=Path, default=PRETRAINED_DIRECTORY, help="directory of artifacts"
    )
    parser.add_argument("--repeats", type=int, default=7)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    times = measure_startup(args.models, repeats=args.repeats, log=args.out / "unroll.log")
    print("\n" + write_report(args.out, startup_report(times, args.models.name)))


def startup_report(times: StartupTimes, models: str) -> Report:
    """The report, with median, minimum and maximum; the first start may read from the disk."""
    seconds_by_process = {
        f"service, {models}/, to /health/ready": times.ready,
        "python, import torch": times.import_torch,
        "python alone": times.interpreter,
    }
    rows = [
        (name, f"{median(seconds):.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}")
        for name, seconds in seconds_by_process.items()
    ]
    return Report(
        name=NAME,
        title="Time from the start of the process until it is ready",
        tables=[ResultTable("Seconds", ("process", "median", "minimum", "maximum"), rows)],
        notes=[f"{len(times.ready)} starts of each process, in turns."],
        results=asdict(times),
        figure=bar_charts(
            [
                [
                    Panel(
                        "Start to ready, median",
                        "seconds",
                        [""],
                        {name: [median(seconds)] for name, seconds in seconds_by_process.items()},
                    )
                ]
            ]
        ),
    )
