"""Support for tests of distributed training: torchrun and its processes."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from model.artifact import load_artifact
from training.runs.directory import RunDirectory


def torchrun(*arguments: str, module: str = "training") -> list[str]:
    """The command line with two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, "--nproc-per-node", "2", "-m", module, *arguments]


def run_two(*arguments: str, module: str = "training") -> subprocess.CompletedProcess[str]:
    """Runs the command in two processes to its end."""
    command = torchrun(*arguments, module=module)
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def started(arguments: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A block in which two processes run; none outlives it."""
    with subprocess.Popen(torchrun(*arguments), stderr=subprocess.PIPE, text=True) as launcher:
        try:
            yield launcher
        finally:
            for process in (
                psutil.Process(launcher.pid).children() if launcher.poll() is None else ()
            ):
                process.kill()
            launcher.kill()


def worker(launcher: subprocess.Popen[str], rank: int) -> psutil.Process:
    """The process of a rank."""
    for process in psutil.Process(launcher.pid).children():
        if process.environ().get("RANK") == str(rank):
            return process
    raise AssertionError(f"there is no process {rank}")


def assert_loss_is_reported(output: str) -> None:
    """Asserts that the loss of a process is reported in a sentence, without a traceback of ours."""
    assert "another process of this run has ended" in output
    assert "--resume" in output
    assert "[rank" not in output


def log_of(artifact: Path) -> list[dict[str, Any]]:
    """The log of the run of an artifact; every line must be whole."""
    return [json.loads(line) for line in RunDirectory(artifact).log.read_text().splitlines()]


def assert_equal_within_rounding(first: Path, second: Path) -> None:
    """Asserts that weights and validation losses of two runs are equal within rounding."""
    weights, two = (load_artifact(artifact).network.state_dict() for artifact in (first, second))
    assert weights.keys() == two.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], two[name], rtol=1e-4, atol=1e-5)
    logs = [log_of(artifact) for artifact in (first, second)]
    curves = [[r["loss"] for r in log if r["event"] == "validation"] for log in logs]
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)
