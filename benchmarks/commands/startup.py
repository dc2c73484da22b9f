"""`startup`: time from the start of the process until the service is ready, and its memory."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.plots import Panel, bar_charts
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import median
from benchmarks.measurements.startup import StartupTimes, measure_startup

NAME = "startup"
HELP = "time from the start of the process until the service is ready, and its memory"
QUICK = {"repeats": 2, "requests": 100}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `startup`."""
    parser.add_argument(
        "--models", type=Path, default=PRETRAINED_DIRECTORY, help="directory of artifacts"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--requests", type=int, default=1000, help="sent before memory is read again"
    )
    parser.add_argument(
        "--beside",
        type=Path,
        help="another working copy to measure in turns, with its kernel built",
    )
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the tables."""
    args.out.mkdir(parents=True, exist_ok=True)
    times = measure_startup(
        args.models,
        repeats=args.repeats,
        requests=args.requests,
        beside=args.beside,
        log=args.out / "unroll.log",
    )
    print("\n" + write_report(args.out, startup_report(times, args.models.name, args.requests)))


def startup_report(times: StartupTimes, models: str, requests: int) -> Report:
    """The report, with median, minimum and maximum; the first start may read from the disk."""
    seconds_by_process: dict[str, Sequence[float]] = {
        f"{name}, {models}/, to /health/ready": starts.ready
        for name, starts in times.services.items()
    }
    for name, starts in times.services.items():
        seconds_by_process[f"{name}, processor time of it"] = starts.processor
    seconds_by_process["python, import torch"] = times.import_torch
    seconds_by_process["python alone"] = times.interpreter
    bytes_by_moment = {}
    for name, starts in times.services.items():
        bytes_by_moment[f"{name}, ready"] = starts.loaded
        bytes_by_moment[f"{name}, after {requests} requests"] = starts.used
    return Report(
        name=NAME,
        title="Time from the start of the process until it is ready, and its memory",
        tables=[
            ResultTable(
                "Seconds",
                ("process", "median", "minimum", "maximum"),
                [_row(name, seconds, 1.0, 2) for name, seconds in seconds_by_process.items()],
            ),
            ResultTable(
                "Resident memory, MB",
                ("process", "median", "minimum", "maximum"),
                [_row(name, sizes, 1e6, 0) for name, sizes in bytes_by_moment.items()],
            ),
        ],
        notes=[
            f"{len(times.interpreter)} starts of each process, in turns.",
            "Requests: /generate, /next-word, /score and /classify, one after the other.",
        ],
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


def _row(name: str, values: Sequence[float], unit: float, digits: int) -> tuple[str, str, str, str]:
    """A row of a table: median, minimum and maximum in a unit."""
    numbers = (median(values), min(values), max(values))
    middle, low, high = (f"{number / unit:.{digits}f}" for number in numbers)
    return name, middle, low, high
