"""The interface of a benchmark command, and the options and directories that commands share."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]
RESULTS_DIRECTORY = ROOT / "benchmarks" / "results"
PRETRAINED_DIRECTORY = ROOT / "pretrained"


class BenchmarkCommand(Protocol):
    """A module of :mod:`benchmarks.commands`.

    Attributes:
        NAME: of the command, and of the files of its results.
        HELP: one line for `python -m benchmarks --help`.
        QUICK: defaults of its options under --quick.
    """

    @property
    def NAME(self) -> str: ...  # noqa: N802 - a constant of a module
    @property
    def HELP(self) -> str: ...  # noqa: N802
    @property
    def QUICK(self) -> Mapping[str, Any]: ...  # noqa: N802
    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options of the command to its parser."""

    def run(self, args: argparse.Namespace) -> None:
        """Runs the command with the parsed options."""


def add_result_options(parser: argparse.ArgumentParser) -> None:
    """Adds --out and --quick, the options of every measurement."""
    parser.add_argument(
        "--out", type=Path, default=RESULTS_DIRECTORY, help="directory of the results"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a short run: small sizes, few seconds, one repeat"
    )
