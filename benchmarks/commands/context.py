"""`context`: the time of a token after 100 tokens and after 100,000 of one sequence."""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.commands.paths import add_results
from benchmarks.harness import report
from benchmarks.harness.kernels import available
from benchmarks.harness.plots import lines
from benchmarks.harness.presets import SIZES, described
from benchmarks.harness.report import Report, Table
from benchmarks.harness.untrained_artifact import save_untrained
from benchmarks.measurements.context import Walk, walk_kernel
from benchmarks.measurements.context_http import walk_http
from model.artifact import load_artifact
from model.networks import LanguageModel
from model.system.cpu_quota import granted_cpus

NAME = "context"
HOW = (
    "Through the kernel the two are timed in turns, from saved states: the ratio to go by. Over "
    "HTTP they are an early and the last part of one stream, medians over its tokens, so that "
    "what else the machine was doing at the time weighs more."
)
QUICK = {"size": "small", "late": 4000, "turns": 50}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `context`."""
    parser.add_argument("--size", choices=SIZES, default="medium")
    parser.add_argument("--early", type=int, default=100, help="tokens of the short context")
    parser.add_argument("--late", type=int, default=100_000, help="tokens of the long context")
    parser.add_argument("--turns", type=int, default=500)
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Measures both ways, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        artifact = Path(scratch) / args.size
        save_untrained(artifact, SIZES[args.size])
        walks = [
            through_kernel(artifact, args),
            walk_http(artifact, early=args.early, late=args.late, log=args.out / "unroll.log"),
        ]
    print("\n" + report.write(args.out, context_report(walks, args.size)))


def through_kernel(artifact: Path, args: argparse.Namespace) -> Walk:
    """The first kernel that there is, with all cores."""
    loaded = load_artifact(artifact)
    assert isinstance(loaded.network, LanguageModel)
    kind = available()[0]
    end = loaded.tokenizer.end
    kernel = kind.make(
        loaded.network,
        capacity=2,
        threads=granted_cpus(),
        end=end,
        never_drawn=loaded.tokenizer.never_drawn | {end},
    )
    return walk_kernel(kind.name, kernel, early=args.early, late=args.late, turns=args.turns)


def context_report(walks: list[Walk], size: str) -> Report:
    """A row and a line for each way."""
    rows = [
        (
            walk.way,
            f"{1e3 * walk.early_seconds:.4f}",
            f"{1e3 * walk.late_seconds:.4f}",
            f"{walk.late_over_early:.3f}x",
        )
        for walk in walks
    ]
    early, late = walks[0].early, walks[0].late
    headings = ("way", f"ms per token after {early}", f"after {late}", "ratio")
    return Report(
        name=NAME,
        title="What a long context costs",
        tables=[Table(f"{size}: LSTM {described(SIZES[size])}, one sequence", headings, rows)],
        notes=[HOW],
        found={"walks": [asdict(walk) for walk in walks]},
        figure=lines(
            "Time of a token along one sequence",
            "tokens read before",
            "ms per token",
            {walk.way: (walk.places, [1e3 * part for part in walk.parts]) for walk in walks},
        ),
    )
