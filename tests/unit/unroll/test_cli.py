"""The console command: help, version, dispatch and errors."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from training.commands import cli
from unroll.cli import COMMANDS, Subcommand, main


def run_module(*arguments: str, flags: tuple[str, ...] = (), directory: Path = ROOT) -> str:
    """The standard output and error of ``python -m unroll``, after its exit status."""
    completed = subprocess.run(
        [sys.executable, *flags, "-m", "unroll", *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return f"{completed.returncode}\n{completed.stdout}{completed.stderr}"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["train", "--help"]])
def test_help_lists_every_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help names each command and what it does, and the status is 0."""
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(command.name in printed and command.help in printed for command in COMMANDS)


def test_every_training_command_is_listed() -> None:
    """Each subcommand of `python -m training` is a command of `unroll` under the same name."""
    listed = {command.name.split()[-1] for command in COMMANDS if command.package == "training"}
    assert listed == {subcommand.name for subcommand in cli.TRAINING_COMMANDS}


def test_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the version of the installed distribution."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"unroll {metadata.version('unroll')}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_has_help_under_its_own_name(
    command: Subcommand, capsys: pytest.CaptureFixture[str]
) -> None:
    """The usage line of a command is what a user types."""
    name = command.name
    assert main([*name.split(), "--help"]) == 0
    assert f"usage: unroll {name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "no command: expected one of serve, train lm"),
        (["sevre"], "unknown command 'sevre': expected one of serve, train lm"),
        (["train"], "unknown command 'train': expected one of train lm, train classifier"),
        (["train", "tree"], "unknown command 'train tree': expected one of train lm, train class"),
        (["--version", "lm"], "unknown command '--version lm'"),
    ],
)
def test_unknown_commands_are_refused(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the word that was typed and the commands that exist; the status is 2."""
    assert main(arguments) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["serve", "--port", "70000"], "2\n"),
        (["train", "lm", "--no-such-option"], "2\n"),
        (["evaluate", "no-such-artifact", "--data", "no-such-file"], "2\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_status_is_that_of_the_command(arguments: list[str], status: str) -> None:
    """The exit status of training and of the service is passed on."""
    assert run_module(*arguments).startswith(status)


def test_help_loads_neither_torch_nor_the_web_framework() -> None:
    """`unroll --help` and the help of a training command load no large package."""
    for arguments in (["--help"], ["--version"], ["train", "lm", "--help"]):
        printed = run_module(*arguments, flags=("-X", "importtime"))
        imported = {line.rpartition("|")[2].strip() for line in printed.splitlines()}
        assert "unroll.cli" in imported
        assert imported & {"torch", "numpy", "fastapi", "pydantic"} == set()


def test_training_may_be_missing(tmp_path: Path) -> None:
    """Without the package `training`, as in the image, its commands say so and help still works."""
    for package in ("model", "service", "unroll"):
        shutil.copytree(ROOT / package, tmp_path / package)
    printed = run_module("train", "lm", flags=("-S",), directory=tmp_path)
    assert printed.startswith("2\n")
    assert "`unroll train lm` needs the package 'training'" in printed
    assert run_module("--help", flags=("-S",), directory=tmp_path).startswith("0\n")
