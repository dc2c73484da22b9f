"""Every command of the documentation runs, and every answer is that of the pretrained models."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic_settings import CliApp

from benchmarks.__main__ import parse_arguments as parse_benchmark
from service.backend.settings import Settings
from tests.readme.asking import Reader
from tests.readme.examples import blocks, difference, examples, formatted
from tests.readme.pages import PAGES, requests
from tests.readme.small_inputs import write_small_inputs
from tests.support.repository import ROOT
from tests.support.service.process import RunningService
from training.commands.cli import build_parser

CALLS = [call for page in PAGES.values() for example in examples(page) for call in example.calls]
# A budget of minutes becomes one pass over the data; all other options are those of the page.
SHORT = ("--epochs", "1")
# Commands that take minutes for any input; other tests run them on small networks.
ONLY_PARSED = ("gradients", "race")


def python_calls(module: str) -> list[list[str]]:
    """The arguments of every ``python -m MODULE``, each once, the module first."""
    commands = []
    for call in CALLS:
        if "-m" in call and Path(call[0]).name in {"python", "torchrun"}:
            arguments = call[call.index("-m") + 1 :]
            if arguments[0] == module and arguments not in commands:
                commands.append(arguments)
    return commands


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", [page for page in PAGES if requests(page)])
def test_answers(page: str) -> None:
    """Curl gets the answers that the page prints; ``make readme`` brings them up to date."""
    with RunningService(ROOT / "pretrained") as service:
        reader = Reader(service.port)
        for example in requests(page):
            assert example.answer, f"{page}, line {example.line + 1}: no answer is printed"
            wrong = difference(example.answer, formatted(reader.ask(example)))
            assert not wrong, f"{page}, line {example.line + 1}: {wrong}; run `make readme`"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_names_its_language(page: str) -> None:
    """A block is commands (sh), a program (python) or neither (text), so that none is left out."""
    commands = {example.line for example in examples(PAGES[page])}
    for block in blocks(PAGES[page]):
        assert block.language in {"sh", "python", "text"}, f"{page}, line {block.start}"
        if block.language == "sh" and not block.not_run:
            assert block.start in commands, f"{page}, line {block.start + 1} is no command"


@pytest.mark.parametrize("page", PAGES)
def test_programs_run(page: str) -> None:
    """A block of Python runs in the repository as it is printed."""
    for block in blocks(PAGES[page]):
        if block.language == "python" and not (block.not_run or _is_client(block.lines)):
            program = "\n".join(block.lines)
            subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=True)


def test_programs_of_clients_run() -> None:
    """A block of Python that imports the client runs against the pretrained models."""
    programs = [
        "\n".join(block.lines)
        for page in PAGES.values()
        for block in blocks(page)
        if block.language == "python" and not block.not_run and _is_client(block.lines)
    ]
    assert programs
    with RunningService(ROOT / "pretrained") as service:
        for program in programs:
            own = program.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{service.port}")
            subprocess.run([sys.executable, "-W", "error", "-c", own], cwd=ROOT, check=True)


def _is_client(lines: Sequence[str]) -> bool:
    return any("unroll_client" in line for line in lines)


@pytest.mark.parametrize("call", [call for call in CALLS if call[0] == "make"], ids=" ".join)
def test_make(call: list[str]) -> None:
    """The Makefile has the target and the variables."""
    ended = subprocess.run(
        [*call, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("arguments", python_calls("training"), ids=" ".join)
def test_training_takes_the_options(arguments: list[str]) -> None:
    """The parser of training accepts every command."""
    build_parser().parse_args(arguments[1:])


@pytest.mark.parametrize("arguments", python_calls("benchmarks"), ids=" ".join)
def test_benchmarks_take_the_options(arguments: list[str]) -> None:
    """The parser of the benchmarks accepts every command."""
    parse_benchmark(arguments[1:])


@pytest.mark.parametrize("arguments", python_calls("service"), ids=" ".join)
def test_service_takes_the_options(arguments: list[str]) -> None:
    """The settings of the service accept every command."""
    CliApp.run(Settings, cli_args=arguments[1:])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_runs(tmp_path: Path) -> None:
    """The commands that train, evaluate and serve work one after the other, on small inputs."""
    write_small_inputs(tmp_path)
    for arguments in python_calls("training"):
        if arguments[1] not in ONLY_PARSED:
            _train(arguments, tmp_path)
    with RunningService(tmp_path / "models") as service:
        names = [model["name"] for model in service.client.get("/models").json()["models"]]
    assert names == ["labels", "mine"]


def _train(arguments: list[str], directory: Path) -> None:
    """Runs a command of training. A model that is trained twice is replaced the second time."""
    words = list(arguments)
    if "--minutes" in words:
        position = words.index("--minutes")
        del words[position : position + 2]
    if words[1] in {"lm", "classifier"}:
        words += ["--overwrite", *SHORT]
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{' '.join(words)}\n{ended.stdout}{ended.stderr}"
