"""Training on two nodes: two torchruns on two addresses, with a rendezvous."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.training.language_model_command import (
    corpus_options,
    wait_for_log,
)
from tests.support.training.torchrun import assert_loss_is_reported, log_of
from training.runs.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow


@contextmanager
def nodes(*arguments: str) -> Iterator[list[subprocess.Popen[str]]]:
    """A torchrun with one process at each of the addresses 127.0.0.1 and 127.0.0.2."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with ExitStack() as stack:
        launchers = []
        for number in (1, 2):
            launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
            launcher += ["--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "run"]
            launcher += ["--rdzv-endpoint", f"127.0.0.1:{port}"]
            launcher += ["--local-addr", f"127.0.0.{number}"]
            # The name of both addresses is that of this machine; only the first one is the host.
            launcher += ["--rdzv-conf", f"is_host={int(number == 1)}"]
            process = subprocess.Popen(
                [*launcher, "-m", "training", *arguments],
                env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(end, process)
            launchers.append(process)
        yield launchers


def end(launcher: subprocess.Popen[str]) -> None:
    """Kill a torchrun with its processes."""
    if launcher.poll() is None:
        for process in psutil.Process(launcher.pid).children():
            process.kill()
        launcher.kill()
    if launcher.stderr is not None and not launcher.stderr.closed:
        launcher.communicate()


@pytest.mark.timeout(300)  # four starts of torchrun
def test_a_node_dies_and_the_run_goes_on(tmp_path: Path) -> None:
    """When a node is killed, the other one ends with a remedy, and both nodes resume the run to its
    last step.
    """
    out = tmp_path / "model"
    options = [*corpus_options(tmp_path), "--steps", "400", "--evaluations", "80"]
    options += ["--patience", "0", "--checkpoint-seconds", "0.001", "--out", str(out)]
    with nodes("lm", *options) as (staying, dying):
        wait_for_log(tmp_path / "model.run" / "log.jsonl", events=3)
        end(dying)
        _, stderr = staying.communicate(timeout=120)
    assert staying.returncode != 0
    assert_loss_is_reported(stderr)
    checkpoint = load_checkpoint(tmp_path / "model.run" / "checkpoint.safetensors")
    assert 0 < checkpoint.values["state"]["steps"] < 400
    with nodes("lm", "--resume", "--out", str(out)) as launchers:
        for launcher in launchers:
            _, stderr = launcher.communicate(timeout=120)
            assert launcher.returncode == 0, stderr
    steps = [entry["step"] for entry in log_of(out) if entry["event"] == "validation"]
    assert steps == sorted(set(steps)), "no step is repeated"
    assert steps[-1] == 400
