"""`serve`: the service beside LitServe and FastAPI, by size and number of streams."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.harness.command import add_result_options
from benchmarks.harness.kernels import describe_served_kernel
from benchmarks.harness.presets import PRESETS, describe_size
from benchmarks.harness.report import write_report
from benchmarks.harness.servers import LANGUAGE_MODEL_SERVERS
from benchmarks.harness.untrained_artifact import save_untrained_artifact
from benchmarks.measurements.serving import ServingPlan, check_generator, measure_all
from benchmarks.reports.serving import serving_report

NAME = "serve"
HELP = "the service beside LitServe and a FastAPI loop"
QUICK = {"sizes": ["small"], "streams": [1, 16], "seconds": 2.0, "longest": 10.0, "repeats": 1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `serve`."""
    names = [server.name for server in LANGUAGE_MODEL_SERVERS]
    parser.add_argument("--sizes", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--max-tokens", type=int, default=96, help="tokens of each request")
    parser.add_argument("--prompt-words", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10, help="time of each measurement")
    parser.add_argument(
        "--longest",
        type=float,
        default=60,
        help="extend a measurement until every stream has one response, up to this many seconds",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--servers", nargs="+", choices=names, default=names)
    add_result_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measures the servers in turns, writes the results and prints the tables."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plan = ServingPlan(
            artifacts=save_artifacts(Path(scratch), args.sizes),
            servers=[server for server in LANGUAGE_MODEL_SERVERS if server.name in args.servers],
            streams=args.streams,
            max_tokens=args.max_tokens,
            prompt_words=args.prompt_words,
            seconds=args.seconds,
            longest=args.longest,
            repeats=args.repeats,
            logs=args.out,
        )
        checks = check_generator(plan)
        measurements = measure_all(plan)
    titles = {size: describe_size(PRESETS[size]) for size in args.sizes}
    kernel = describe_served_kernel()
    report = serving_report(measurements, checks, titles, args.max_tokens, kernel)
    print("\n" + write_report(args.out, report))


def save_artifacts(directory: Path, sizes: list[str]) -> dict[str, Path]:
    """Writes an untrained artifact of each size and returns their directories by size."""
    artifacts = {size: directory / size for size in sizes}
    for size, artifact in artifacts.items():
        save_untrained_artifact(artifact, PRESETS[size])
    return artifacts
