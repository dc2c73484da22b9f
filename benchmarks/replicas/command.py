"""`replicas`: several replicas, and Ray Serve, beside one replica with the same number of threads.

Needs HAProxy and wrk, and with `--ray` Ray, which is in no lock file.
"""

import argparse
import importlib.util
from pathlib import Path

from benchmarks.harness.command import PRETRAINED_DIRECTORY, add_result_options
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.statistics import medians_of_repeats, results_of_repeats
from benchmarks.replicas.measurement import (
    KEY_FIELDS,
    ReplicasMeasurement,
    ReplicasPlan,
    measure_all,
)

NAME = "replicas"
HELP = "several replicas, and Ray Serve, beside one replica"
QUICK = {"seconds": 2.0, "repeats": 1}
TABLE_COLUMNS = (
    "request",
    "deployment",
    "connections",
    "requests/s",
    "ratio",
    "p50, ms",
    "ratio",
    "p99, ms",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `replicas`."""
    parser.add_argument(
        "--models",
        type=Path,
        default=PRETRAINED_DIRECTORY,
        help="directory with the artifacts english-word and sentiment",
    )
    parser.add_argument(
        "--threads", type=int, default=2, help="of one replica, and number of the replicas"
    )
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--seconds", type=float, default=5, help="time of each measurement")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--ray", action="store_true", help="measure Ray Serve as well, where it is installed"
    )
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures in turns, writes the results and prints the table."""
    if args.ray and importlib.util.find_spec("ray") is None:
        raise SystemExit('--ray needs Ray: pip install "ray[serve]==2.60.*"')
    if args.threads < 2:
        raise SystemExit(f"--threads is {args.threads}: expected 2 or more, one for each replica")
    args.out.mkdir(parents=True, exist_ok=True)
    plan = ReplicasPlan(
        models=args.models,
        threads=args.threads,
        connections=args.connections,
        seconds=args.seconds,
        repeats=args.repeats,
        ray=args.ray,
        logs=args.out,
    )
    print("\n" + write_report(args.out, replicas_report(measure_all(plan), args.threads)))


def replicas_report(measurements: list[ReplicasMeasurement], threads: int) -> Report:
    """The report, with a row for each kind of request, deployment and number of connections."""
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    rows = [
        (
            median.request,
            median.deployment,
            f"{median.connections}",
            f"{median.requests_per_second:.0f}",
            f"{median.rate_ratio:.2f}",
            f"{median.answer_p50:.1f}",
            f"{median.p50_ratio:.2f}",
            f"{median.answer_p99:.1f}",
        )
        for median in summary
    ]
    return Report(
        name=NAME,
        title="Replicas beside one replica",
        tables=[ResultTable("Pretrained models", TABLE_COLUMNS, rows, text_columns=2)],
        notes=[
            "Medians of repeats. Ratios are to one replica in the same repeat.",
            f"Every deployment has {threads} threads in all; wrk and the proxies share the cores.",
        ],
        results=results_of_repeats(summary, measurements),
    )
