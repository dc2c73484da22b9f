"""The door: `python -m benchmarks all`, or one of its parts.

Knows the names of the commands; the options are known by their modules.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.commands import (
    artifact,
    classify,
    context,
    kernel,
    quality,
    quantization,
    run_all,
    serve,
    softmax,
    startup,
    train_classifiers,
    train_language_model,
)
from model.errors import ArchitectureError, ArtifactError
from model.system.standard_streams import run_command


@dataclass(frozen=True)
class Command:
    """What a module of :mod:`benchmarks.commands` offers. ``quick``: defaults under --quick."""

    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
    quick: Mapping[str, Any]


COMMANDS = {
    "all": Command(
        "all the measurements below, one after the other",
        run_all.add_options,
        run_all.run,
        {},
    ),
    "serve": Command(
        "the service beside LitServe and a FastAPI loop", serve.add_options, serve.run, serve.QUICK
    ),
    "kernel": Command(
        "the kernels alone, against the machine's limits",
        kernel.add_options,
        kernel.run,
        kernel.QUICK,
    ),
    "softmax": Command(
        "the kernels with a full and with an adaptive softmax",
        softmax.add_options,
        softmax.run,
        softmax.QUICK,
    ),
    "context": Command(
        "a token after 100 tokens and after 100,000",
        context.add_options,
        context.run,
        context.QUICK,
    ),
    "classify": Command(
        "documents per second beside a FastAPI and torch loop",
        classify.add_options,
        classify.run,
        classify.QUICK,
    ),
    "perplexity": Command(
        "what int8 costs in perplexity on held-out text",
        quantization.add_options,
        quantization.run,
        quantization.QUICK,
    ),
    "startup": Command(
        "from the start of the process to ready", startup.add_options, startup.run, startup.QUICK
    ),
    "training": Command(
        "training beside a plain script",
        train_language_model.add_options,
        train_language_model.run,
        {},
    ),
    "classifiers": Command(
        "training classifiers beside fastText and a linear SVM",
        train_classifiers.add_options,
        train_classifiers.run,
        {},
    ),
    "quality": Command(
        "accuracy and perplexity of the recipes, over seeds", quality.add_options, quality.run, {}
    ),
    "artifact": Command(
        "make an untrained artifact of any size", artifact.add_options, artifact.run, {}
    ),
}


def main() -> int:
    """Reads the command line and does what it says; the exit status."""
    args = parsed(sys.argv[1:])
    try:
        args.run(args)
    except (ArchitectureError, ArtifactError) as error:
        raise SystemExit(f"error: {error}") from None
    return 0


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options. --quick changes defaults: what is given beside it still counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name, help=command.help, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        command.add_options(one)
        one.set_defaults(run=command.run)
        if "--quick" in arguments:
            one.set_defaults(**command.quick)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(run_command(main))
