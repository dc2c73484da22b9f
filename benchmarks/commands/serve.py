"""`serve`: the service beside LitServe and FastAPI, at several sizes and numbers of streams."""

import argparse
import tempfile
from pathlib import Path

from benchmarks.commands.paths import add_results
from benchmarks.harness import report
from benchmarks.harness.kernels import served
from benchmarks.harness.presets import SIZES, described
from benchmarks.harness.servers import CANDIDATES
from benchmarks.harness.untrained_artifact import save_untrained
from benchmarks.measurements.serving import Plan, check_generator, measure_all
from benchmarks.reports.serving import serving_report

NAME = "serving"
QUICK = {"sizes": ["small"], "streams": [1, 16], "seconds": 2.0, "longest": 10.0, "repeats": 1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    names = [candidate.name for candidate in CANDIDATES]
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--max-tokens", type=int, default=96, help="tokens of each request")
    parser.add_argument("--prompt-words", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10, help="counted time of one measurement")
    parser.add_argument(
        "--longest",
        type=float,
        default=60,
        help="it goes on until every stream has had one answer, but no longer than so many seconds",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--servers", nargs="+", choices=names, default=names)
    add_results(parser)


def run(args: argparse.Namespace) -> None:
    """Measures every server in turn, writes the results and prints the tables."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plan = Plan(
            artifacts=artifacts(Path(scratch), args.sizes),
            candidates=[one for one in CANDIDATES if one.name in args.servers],
            streams=args.streams,
            max_tokens=args.max_tokens,
            prompt_words=args.prompt_words,
            seconds=args.seconds,
            longest=args.longest,
            repeats=args.repeats,
            logs=args.out,
        )
        checks = check_generator(plan)
        found = measure_all(plan)
    titles = {size: described(SIZES[size]) for size in args.sizes}
    told = serving_report(found, checks, titles, args.max_tokens, served())
    print("\n" + report.write(args.out, told))


def artifacts(directory: Path, sizes: list[str]) -> dict[str, Path]:
    """An untrained artifact of each size."""
    made = {size: directory / size for size in sizes}
    for size, place in made.items():
        save_untrained(place, SIZES[size])
    return made
