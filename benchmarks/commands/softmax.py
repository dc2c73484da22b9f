"""`softmax`: a step of the kernels with a full and with an adaptive softmax, without HTTP."""

import argparse
from dataclasses import asdict, dataclass, replace

from benchmarks.commands.paths import add_results
from benchmarks.harness import report
from benchmarks.harness.kernels import available
from benchmarks.harness.presets import SIZES, described
from benchmarks.harness.report import Report, Table
from benchmarks.harness.untrained_artifact import untrained
from benchmarks.measurements.stepping import KernelStepper, make_kernels, paces

NAME = "softmax"
HOW = (
    "Every row draws from all words at temperature 1. The tails of the adaptive softmax have as "
    "much of the probability as rare words have in English text, 23 %."
)
QUICK = {"size": "small", "cutoffs": (1_000,), "seconds": 0.2, "turns": 1}


@dataclass(frozen=True)
class Step:
    """One kernel with so many rows; milliseconds of a step with either softmax."""

    kernel: str
    rows: int
    full: float
    adaptive: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `softmax`."""
    parser.add_argument("--size", choices=SIZES, default="large")
    parser.add_argument("--cutoffs", type=int, nargs="+", default=(2_000, 10_000))
    parser.add_argument("--division", type=int, default=4)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each figure")
    parser.add_argument("--turns", type=int, default=5, help="turns that the seconds are cut into")
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Measures, writes the results and prints the table."""
    adaptive = replace(SIZES[args.size], cutoffs=tuple(args.cutoffs), division=args.division)
    networks = {"full": untrained(SIZES[args.size]), "adaptive": untrained(adaptive)}
    kernels = {
        softmax: make_kernels(network, available(), rows=max(args.rows), threads=args.threads)
        for softmax, network in networks.items()
    }
    steps = []
    for rows in args.rows:
        for kind in available():
            steppers = {
                name: KernelStepper(made[kind.name], rows) for name, made in kernels.items()
            }
            seconds = paces(steppers, seconds=args.seconds, turns=args.turns)
            steps.append(Step(kind.name, rows, 1e3 * seconds["full"], 1e3 * seconds["adaptive"]))
    title = f"LSTM {described(adaptive)}, divided by {args.division}; threads: {args.threads}"
    table = Table(title, ("kernel", "rows", "full, ms", "adaptive, ms", "ratio"), _cells(steps))
    found = {"architecture": asdict(adaptive), "steps": [asdict(step) for step in steps]}
    whole = Report(NAME, "A step with a full and with an adaptive softmax", [table], [HOW], found)
    print("\n" + report.write(args.out, whole))


def _cells(steps: list[Step]) -> list[tuple[str, ...]]:
    return [
        (
            step.kernel,
            str(step.rows),
            f"{step.full:.3f}",
            f"{step.adaptive:.3f}",
            f"{step.full / step.adaptive:.2f}x",
        )
        for step in steps
    ]
