"""Every command of the README runs, and every answer is what the pretrained models give."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import parsed as parse_benchmark
from tests.readme.asking import Reader
from tests.readme.examples import Example, blocks, difference, examples, formatted
from tests.readme.small_inputs import write_small_inputs
from tests.support.repository import ROOT
from tests.support.service.process import RunningService
from training.commands.cli import build_parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = examples(README)
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
}
CALLS = [call for page in PAGES.values() for example in examples(page) for call in example.calls]
# What trains for minutes is trained for one pass; the rest is what the README says.
SHORT = ("--epochs", "1")
# Commands whose work takes minutes, whatever the input; other tests run them on small ones.
ONLY_PARSED = ("gradients",)


def python_calls(*modules: str) -> list[list[str]]:
    """The arguments of every ``python -m MODULE``, the module first."""
    found = []
    for call in CALLS:
        if "-m" in call and Path(call[0]).name in {"python", "torchrun"}:
            arguments = call[call.index("-m") + 1 :]
            if arguments[0] in modules:
                found.append(arguments)
    return found


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """Who asks a service of the pretrained models with its default settings."""
    with RunningService(ROOT / "pretrained") as service:
        yield Reader(service.port)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "example",
    [example for example in EXAMPLES if example.calls[0][0] == "curl"],
    ids=lambda example: f"line {example.line + 1}",
)
def test_answers(reader: Reader, example: Example) -> None:
    """Curl gets the answer that is printed below it; ``make readme`` brings answers up to date."""
    assert example.answer
    found = difference(example.answer, formatted(reader.ask(example)))
    assert not found, f"README.md, line {example.line + 1}: {found}; `make readme` mends it"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_holds(page: str) -> None:
    """A block is commands (sh), a program (python) or neither (text), so that none is passed by."""
    commands = {example.line for example in examples(PAGES[page])}
    for block in blocks(PAGES[page]):
        assert block.language in {"sh", "python", "text"}, f"{page}, line {block.start}"
        if block.language == "sh":
            assert block.start in commands, f"{page}, line {block.start + 1} is no command"


@pytest.mark.parametrize("page", PAGES)
def test_programs_run(page: str) -> None:
    """A block of Python runs in the repository as it is printed."""
    for block in blocks(PAGES[page]):
        if block.language == "python":
            program = "\n".join(block.lines)
            subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=ROOT, check=True)


@pytest.mark.parametrize("call", [call for call in CALLS if call[0] == "make"], ids=" ".join)
def test_make(call: list[str]) -> None:
    """Make knows the target and the variables."""
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
    """Runs a command of training. Where the README makes a model twice, the second replaces it."""
    words = list(arguments)
    if "--minutes" in words:
        at = words.index("--minutes")
        del words[at : at + 2]
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
