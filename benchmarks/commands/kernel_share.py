"""`kernel-share`: tokens per second over HTTP as a share of the kernel's own."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.commands.serve import save_artifacts
from benchmarks.harness.command import add_result_options
from benchmarks.harness.kernels import describe_served_kernel
from benchmarks.harness.presets import PRESETS, describe_size
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.servers import UNROLL
from benchmarks.harness.statistics import group_by, medians_of_repeats, results_of_repeats
from benchmarks.harness.untrained_artifact import untrained_network
from benchmarks.measurements.kernel_share import (
    KEY_FIELDS,
    KernelShareMeasurement,
    make_kernel,
    measure_all,
)
from benchmarks.measurements.serving import ServingPlan
from model.system.cpu_quota import granted_cpus

NAME = "kernel-share"
HELP = "tokens per second over HTTP as a share of the kernel's own"
QUICK = {"seconds": 2.0, "repeats": 1}
TABLE_COLUMNS = (
    "streams",
    "tokens/s over HTTP",
    "of the kernel",
    "share",
    "CPU us a token, HTTP",
    "kernel",
    "share",
    "tokens per write",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `kernel-share`."""
    parser.add_argument("--sizes", nargs="+", choices=PRESETS, default=["medium"])
    parser.add_argument("--streams", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--max-tokens", type=int, default=96, help="tokens of each request")
    parser.add_argument("--prompt-words", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=6, help="time of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures in turns, writes the results and prints the tables. Needs the native kernel."""
    args.out.mkdir(parents=True, exist_ok=True)
    rows, threads = max(args.streams), granted_cpus()
    with tempfile.TemporaryDirectory() as scratch:
        plan = ServingPlan(
            artifacts=save_artifacts(Path(scratch), args.sizes),
            servers=[UNROLL],
            streams=args.streams,
            max_tokens=args.max_tokens,
            prompt_words=args.prompt_words,
            seconds=args.seconds,
            longest=args.seconds,
            repeats=args.repeats,
            logs=args.out,
        )
        kernels = {
            size: make_kernel(untrained_network(PRESETS[size]), rows, threads)
            for size in args.sizes
        }
        measurements = measure_all(plan, kernels)
    print("\n" + write_report(args.out, kernel_share_report(measurements, args.max_tokens)))


def kernel_share_report(measurements: list[KernelShareMeasurement], max_tokens: int) -> Report:
    """The report, with a table for each size."""
    summary = medians_of_repeats(measurements, KEY_FIELDS)
    tables = [
        ResultTable(
            f"{size}: LSTM {describe_size(PRESETS[size])}",
            TABLE_COLUMNS,
            [_row(median) for median in medians],
        )
        for size, medians in group_by(summary, lambda median: median.size).items()
    ]
    return Report(
        name=NAME,
        title=f"HTTP beside the kernel alone, {max_tokens} tokens per request",
        tables=tables,
        notes=[
            "Medians of repeats. The kernel is measured before and after the service in each.",
            f"Both ran on {describe_served_kernel()}.",
        ],
        results=results_of_repeats(summary, measurements),
    )


def _row(median: KernelShareMeasurement) -> tuple[str, ...]:
    return (
        str(median.streams),
        f"{median.http_tokens_per_second:.0f}",
        f"{median.kernel_tokens_per_second:.0f}",
        f"{median.share:.0%}",
        f"{median.http_cpu_microseconds:.1f}",
        f"{median.kernel_cpu_microseconds:.1f}",
        f"{median.cpu_share:.0%}",
        f"{median.tokens_per_write:.1f}",
    )
