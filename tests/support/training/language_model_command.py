"""Support for tests of the lm command: a synthetic corpus, the process, saved weights."""

import subprocess
import time
from pathlib import Path

import torch

from model.artifact import load_artifact
from tests.support.training.forked import ForkedCommand, run_forked
from tests.support.training.synthetic_corpus import text

SMALL = ["--hidden", "16", "--embedding", "16", "--batch", "8", "--bptt", "16"]
EXACT = ["--precision", "float32", "--threads", "1"]


def corpus_options(tmp_path: Path) -> list[str]:
    """Options that name training and validation files, written here, and a small network."""
    (tmp_path / "train.txt").write_text(text(400, seed=1))
    (tmp_path / "valid.txt").write_text(text(60, seed=2))
    files = ["--train", str(tmp_path / "train.txt"), "--valid", str(tmp_path / "valid.txt")]
    return [*files, *SMALL, *EXACT]


def start(*arguments: str) -> ForkedCommand:
    """The command line of the lm command."""
    return ForkedCommand("lm", *arguments)


def run(*arguments: str, max_file_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command to its end."""
    return run_forked("lm", *arguments, max_file_bytes=max_file_bytes)


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    """The parameters of a saved network."""
    return dict(load_artifact(artifact).network.named_parameters())


def assert_same_weights(one: Path, other: Path) -> None:
    """Asserts that two artifacts have equal weights to the bit."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def wait_for_log(path: Path, events: int) -> None:
    """Waits until a run has logged so many evaluations."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().count('"validation"') >= events:
            return
        time.sleep(0.01)
    raise AssertionError("the run did not get so far")


def assert_one_line(output: str, *parts: str) -> None:
    """Asserts one line of error without a traceback; notes and warnings may precede it."""
    said = ("warning: ", "note: ")
    lines = [line for line in output.strip().split("\n") if not line.startswith(said)]
    assert len(lines) == 1, output
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]
