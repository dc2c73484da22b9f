"""`context`: time per token after 100 and after 100,000 tokens of one sequence."""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness.command import add_result_options
from benchmarks.harness.kernels import available_kernels
from benchmarks.harness.plots import line_chart
from benchmarks.harness.presets import PRESETS, describe_size
from benchmarks.harness.report import Report, ResultTable, write_report
from benchmarks.harness.untrained_artifact import save_untrained_artifact
from benchmarks.measurements.context import LatencyProfile, profile_kernel
from benchmarks.measurements.context_http import profile_http
from model.artifact import load_artifact
from model.networks import LanguageModel
from model.system.cpu_quota import granted_cpus

NAME = "context"
HELP = "time per token after 100 and after 100,000 tokens"
QUICK = {"size": "small", "late": 4000, "turns": 50}
METHOD = (
    "The kernel is timed at both positions in turns, from saved states; its ratio is the reliable "
    "one. Over HTTP an early and the last part of one stream are compared (medians over tokens), "
    "so other load on the machine has a larger effect."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `context`."""
    parser.add_argument("--size", choices=PRESETS, default="medium")
    parser.add_argument("--early", type=int, default=100, help="tokens of the short context")
    parser.add_argument("--late", type=int, default=100_000, help="tokens of the long context")
    parser.add_argument("--turns", type=int, default=500)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures the kernel and the service, writes the results and prints the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        artifact = Path(scratch) / args.size
        save_untrained_artifact(artifact, PRESETS[args.size])
        profiles = [
            measure_kernel(artifact, args),
            profile_http(artifact, early=args.early, late=args.late, log=args.out / "unroll.log"),
        ]
    print("\n" + write_report(args.out, context_report(profiles, args.size)))


def measure_kernel(artifact: Path, args: argparse.Namespace) -> LatencyProfile:
    """The profile of the fastest available kernel, with all cores."""
    loaded = load_artifact(artifact)
    assert isinstance(loaded.network, LanguageModel)
    variant = available_kernels()[0]
    end = loaded.tokenizer.end
    kernel = variant.make(
        loaded.network,
        capacity=2,
        threads=granted_cpus(),
        end=end,
        suppressed=loaded.tokenizer.suppressed | {end},
    )
    return profile_kernel(variant.name, kernel, early=args.early, late=args.late, turns=args.turns)


def context_report(profiles: list[LatencyProfile], size: str) -> Report:
    """The report, with a row and a line for each profile."""
    rows = [
        (
            profile.way,
            f"{1e3 * profile.early_seconds:.4f}",
            f"{1e3 * profile.late_seconds:.4f}",
            f"{profile.late_over_early:.3f}x",
        )
        for profile in profiles
    ]
    early, late = profiles[0].early, profiles[0].late
    headings = ("way", f"ms per token after {early}", f"after {late}", "ratio")
    return Report(
        name=NAME,
        title="Time per token and length of the context",
        tables=[
            ResultTable(
                f"{size}: LSTM {describe_size(PRESETS[size])}, one sequence", headings, rows
            )
        ],
        notes=[METHOD],
        results={"walks": [asdict(profile) for profile in profiles]},
        figure=line_chart(
            "Time per token along one sequence",
            "tokens before",
            "ms per token",
            {
                profile.way: (profile.places, [1e3 * seconds for seconds in profile.parts])
                for profile in profiles
            },
        ),
    )
