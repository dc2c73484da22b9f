"""Runs of ``predict`` that are killed: every document once, and in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.repository import ROOT
from tests.support.service.process import PATIENCE, eventually

pytestmark = pytest.mark.slow

DOCUMENTS = 40_000
CHUNK = "1000"


def start(models: Path, data: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    """A run in two processes."""
    command = [sys.executable, "-m", "training", "predict", str(models / "sentiment")]
    command += ["--data", str(data), "--out", str(out), "--copy", "id", "--chunk", CHUNK]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--processes", "2", *options],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def committed(out: Path) -> int:
    """The number of documents that a run has committed."""
    progress = out.with_name(out.name + ".progress")
    return int(json.loads(progress.read_text())["documents"]) if progress.exists() else 0


def write_data(path: Path) -> None:
    """Numbered documents of different lengths."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(DOCUMENTS):
            text = "a dog near the cats " * (1 + number % 7)
            file.write(json.dumps({"id": number, "text": text}) + "\n")


def kill_in_the_middle(run: subprocess.Popen[bytes], out: Path, more_than: int) -> None:
    """Kill -9 once more documents are committed; the processes of the run end as well."""
    eventually(lambda: committed(out) > more_than or run.poll() is not None, "it goes on")
    family = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    run.communicate(timeout=PATIENCE)
    eventually(lambda: not any(map(_runs, family)), "no process is left")


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_stopped_run_goes_on_where_it_was(models: Path, tmp_path: Path) -> None:
    """A run that is interrupted, then killed with kill -9, has in the end every document once and
    in order. The interruption has the status of its signal.
    """
    data, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_data(data)
    run = start(models, data, out)
    eventually(lambda: committed(out) > 0 or run.poll() is not None, "it goes on")
    run.send_signal(signal.SIGINT)
    assert b"interrupted" in run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 128 + signal.SIGINT
    first = committed(out)
    kill_in_the_middle(start(models, data, out, "--resume"), out, first)
    assert first < committed(out) < DOCUMENTS
    assert not out.exists()
    run = start(models, data, out, "--resume")
    printed, errors = run.communicate(timeout=PATIENCE)
    assert run.returncode == 0, errors.decode()
    assert b" kept, " in printed
    numbers = [json.loads(line)["id"] for line in out.read_text().splitlines()]
    assert numbers == list(range(DOCUMENTS))


def test_changed_data_are_not_resumed(models: Path, tmp_path: Path) -> None:
    """A run is not continued with other documents in place of those that are done; a fault behind
    them is corrected and the run goes on.
    """
    data, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = [json.dumps({"id": number, "text": f"a dog {number}"}) for number in range(3500)]
    data.write_text("\n".join([*good, "{"]))
    run = start(models, data, out, "--processes", "1")
    assert b"line 3501" in run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 2
    assert committed(out) > 0
    data.write_text("\n".join([json.dumps({"id": 0, "text": "cats"}), *good[1:]]))
    run = start(models, data, out, "--resume", "--processes", "1")
    assert b"have changed" in run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 2
    data.write_text("\n".join(good))
    run = start(models, data, out, "--resume", "--processes", "1")
    run.communicate(timeout=PATIENCE)
    assert run.returncode == 0
    numbers = [json.loads(line)["id"] for line in out.read_text().splitlines()]
    assert numbers == list(range(3500))


def test_a_killed_process_ends_the_run(models: Path, tmp_path: Path) -> None:
    """If the system kills one process of the run, the run ends with a remedy and is resumed."""
    data, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_data(data)
    run = start(models, data, out)
    eventually(lambda: committed(out) > 0 or run.poll() is not None, "it goes on")
    workers = [
        child
        for child in psutil.Process(run.pid).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]
    workers[0].send_signal(signal.SIGKILL)
    assert b"--resume continues" in run.communicate(timeout=PATIENCE)[1]
    assert run.returncode == 1
