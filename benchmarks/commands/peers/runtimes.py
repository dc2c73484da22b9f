"""`runtimes`: steps of the native kernel beside onnxruntime, OpenVINO and torch."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness.command import add_result_options
from benchmarks.harness.presets import PRESETS, describe_size
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import results_of_repeats
from benchmarks.measurements.peers.runtimes import RuntimePlan, RuntimeSpeed, measure_all
from model.system.cpu_quota import granted_cpus

NAME = "runtimes"
HELP = "steps of the native kernel beside onnxruntime, OpenVINO and torch int8"
QUICK = {"rows": [1, 16], "seconds": 0.3, "turns": 2}
TABLE_COLUMNS = ("threads", "rows", "runtime", "ms per step", "by the kernel's")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runtimes`."""
    parser.add_argument("--size", choices=["small", "medium"], default="medium")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, granted_cpus()}))
    parser.add_argument("--seconds", type=float, default=1.0, help="time of each runtime")
    parser.add_argument("--turns", type=int, default=5, help="turns that divide this time")
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures in turns, writes the results and prints the table. Needs the native kernel."""
    with tempfile.TemporaryDirectory() as scratch:
        plan = RuntimePlan(
            size=args.size,
            rows=args.rows,
            threads=args.threads,
            seconds=args.seconds,
            turns=args.turns,
            scratch=Path(scratch),
        )
        speeds, skipped = measure_all(plan)
    title = f"LSTM {describe_size(PRESETS[args.size])}, one token for each row"
    print("\n" + write_report(args.out, runtime_report(speeds, skipped, title)))


def runtime_report(speeds: list[RuntimeSpeed], skipped: list[str], title: str) -> Report:
    """The report; ``title``: of its table."""
    rows = [
        (
            str(speed.threads),
            str(speed.rows),
            speed.runtime,
            f"{speed.milliseconds_per_step:.3f}",
            f"{speed.ratio:.2f}x",
        )
        for speed in speeds
    ]
    return Report(
        name=NAME,
        title="The kernel beside other runtimes",
        tables=[ResultTable(title, TABLE_COLUMNS, rows, text_columns=3)],
        notes=[
            "The kernel samples from the whole vocabulary in every step, the others with NumPy.",
            "Without a sampler, a runtime computes the logits and draws no token.",
            *skipped,
        ],
        results=results_of_repeats(speeds, []),
    )
