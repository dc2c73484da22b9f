"""The command line of the benchmarks: `python -m benchmarks all`, or one of its parts."""

import argparse
import sys

from benchmarks.commands import report, run_all, softmax
from benchmarks.commands.training import (
    artifact,
    quality,
    train_classifiers,
    train_language_model,
)
from benchmarks.harness.command import BenchmarkCommand
from benchmarks.replicas import command as replicas
from model.errors import ArchitectureError, ArtifactError
from model.system.standard_streams import run_command

COMMANDS: tuple[BenchmarkCommand, ...] = (
    run_all,
    *run_all.MEASUREMENTS,
    replicas,
    report,
    softmax,
    train_language_model,
    train_classifiers,
    quality,
    artifact,
)


def main() -> int:
    """Runs the command of the command line and returns the exit status."""
    args = parse_arguments(sys.argv[1:])
    try:
        args.run(args)
    except (ArchitectureError, ArtifactError) as error:
        raise SystemExit(f"error: {error}") from None
    return 0


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Parses the command line. --quick changes the defaults of other options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.NAME,
            help=command.HELP,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.add_options(subparser)
        subparser.set_defaults(run=command.run)
        if "--quick" in arguments:
            subparser.set_defaults(**command.QUICK)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main))
