"""`softmax`: time per step of the kernels with a full and with an adaptive softmax."""

import argparse
from dataclasses import asdict, dataclass, replace

from benchmarks.harness.command import add_result_options
from benchmarks.harness.kernels import available_kernels
from benchmarks.harness.presets import PRESETS, describe_size
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.untrained_artifact import untrained_network
from benchmarks.measurements.stepping import KernelStepper, make_kernels, seconds_per_step

NAME = "softmax"
HELP = "the kernels with a full and with an adaptive softmax"
QUICK = {"size": "small", "cutoffs": (1_000,), "seconds": 0.2, "turns": 1}
METHOD = (
    "Every row samples from the whole vocabulary at temperature 1. The tails of the adaptive "
    "softmax have the probability of rare words in English text, 23 %."
)


@dataclass(frozen=True)
class SoftmaxTimes:
    """Milliseconds per step of one kernel with a full and with an adaptive softmax."""

    kernel: str
    rows: int
    full: float
    adaptive: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `softmax`."""
    parser.add_argument("--size", choices=PRESETS, default="large")
    parser.add_argument("--cutoffs", type=int, nargs="+", default=(2_000, 10_000))
    parser.add_argument("--division", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="time of each measurement")
    parser.add_argument("--turns", type=int, default=5, help="turns that divide this time")
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the table."""
    adaptive = replace(PRESETS[args.size], cutoffs=tuple(args.cutoffs), division=args.division)
    networks = {
        "full": untrained_network(PRESETS[args.size]),
        "adaptive": untrained_network(adaptive),
    }
    kernels = {
        softmax: make_kernels(
            network, available_kernels(), rows=max(args.rows), threads=args.threads
        )
        for softmax, network in networks.items()
    }
    times = []
    for rows in args.rows:
        for variant in available_kernels():
            steppers = {
                softmax: KernelStepper(by_name[variant.name], rows)
                for softmax, by_name in kernels.items()
            }
            seconds = seconds_per_step(steppers, seconds=args.seconds, turns=args.turns)
            milliseconds = {softmax: 1e3 * value for softmax, value in seconds.items()}
            times.append(SoftmaxTimes(variant.name, rows, **milliseconds))
    title = f"LSTM {describe_size(adaptive)}, division {args.division}; threads: {args.threads}"
    columns = ("kernel", "rows", "full, ms", "adaptive, ms", "ratio")
    report = Report(
        name=NAME,
        title="Time per step with a full and with an adaptive softmax",
        tables=[ResultTable(title, columns, _table_rows(times))],
        notes=[METHOD],
        results={"architecture": asdict(adaptive), "steps": [asdict(step) for step in times]},
    )
    print("\n" + write_report(args.out, report))


def _table_rows(times: list[SoftmaxTimes]) -> list[tuple[str, ...]]:
    return [
        (
            step.kernel,
            str(step.rows),
            f"{step.full:.3f}",
            f"{step.adaptive:.3f}",
            f"{step.full / step.adaptive:.2f}x",
        )
        for step in times
    ]
