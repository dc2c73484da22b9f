"""The command line of ``unroll``.

``unroll serve`` runs ``python -m service``. The other commands run ``python -m training`` with the
command of that name. All arguments after the name are passed on unchanged.

Only the package that a command needs is imported. ``unroll --help`` and ``unroll --version`` load
neither torch nor FastAPI, and an installation without ``training``, such as the container image,
serves all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec

from model.system.standard_streams import run_command

BAD_INPUT = 2


@dataclass(frozen=True)
class Subcommand:
    """One command: the words after ``unroll``, the package that runs it, and a line of help."""

    name: str
    package: str
    help: str


COMMANDS = (
    Subcommand("serve", "service", "serve the models of a directory over HTTP"),
    Subcommand("train lm", "training", "train a language model"),
    Subcommand("train classifier", "training", "train a document classifier"),
    Subcommand("evaluate", "training", "measure a model on data"),
    Subcommand("predict", "training", "apply a model to any number of documents"),
    Subcommand("export", "training", "write a language model as an ONNX file"),
    Subcommand("agreement", "training", "measure a language model on minimal pairs"),
    Subcommand("gradients", "training", "analyze and plot gradients through time"),
    Subcommand("words", "training", "show vectors of words, their nearest words and a map"),
    Subcommand(
        "describe", "training", "list the parameters of a model in the letters of the formulas"
    ),
    Subcommand(
        "units", "training", "find units of a language model that follow something in a text"
    ),
    Subcommand(
        "memory", "training", "measure for how many tokens states and predictions of texts differ"
    ),
    Subcommand(
        "race", "training", "train cells side by side to recall a symbol after a number of steps"
    ),
)

USAGE = "usage: unroll COMMAND [OPTIONS]"
HELP = "\n".join(
    [
        USAGE,
        "",
        "Train recurrent language models and classifiers, and serve them over HTTP.",
        "",
        "commands:",
        *(f"  {command.name:<18}{command.help}" for command in COMMANDS),
        "",
        "options:",
        "  -h, --help        show this message; after a command, its options",
        "  --version         show the version",
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after ``unroll``; those of the process by default.

    Returns:
        The exit status: 0 on success, 2 for unknown commands and invalid options, otherwise the
        status of the command.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    return run_command(lambda: _run(words))


def _run(words: list[str]) -> int:
    for command in COMMANDS:
        length = len(command.name.split())
        if words[:length] == command.name.split():
            return _dispatch(command, words[length:])
    if "-h" in words or "--help" in words:
        print(HELP)
        return 0
    if words == ["--version"]:
        print(f"unroll {metadata.version('unroll')}")
        return 0
    names = [command.name for command in COMMANDS]
    expected = ", ".join([name for name in names if name.split()[0] in words[:1]] or names)
    typed = f"unknown command {' '.join(words[:2])!r}" if words else "no command"
    print(f"{USAGE}\nunroll: error: {typed}: expected one of {expected}", file=sys.stderr)
    return BAD_INPUT


def _dispatch(command: Subcommand, options: list[str]) -> int:
    if find_spec(command.package) is None:
        print(
            f"unroll: error: `unroll {command.name}` needs the package {command.package!r}, which "
            "this installation does not contain (the container image serves only). Install Unroll "
            "with pip to train and evaluate",
            file=sys.stderr,
        )
        return BAD_INPUT
    *parents, name = command.name.split()
    if command.package == "service":
        import service.__main__ as service  # noqa: PLC0415

        service.exit_on_signals()
        return service.main(options, program=f"unroll {name}")
    from training.commands import cli  # noqa: PLC0415

    return cli.main([name, *options], program=" ".join(["unroll", *parents]))
