"""Runs that are killed repeatedly at random moments and end like an unbroken run."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from model.artifact import load_artifact
from tests.support.training.language_model_command import assert_same_weights, corpus_options
from tests.support.training.synthetic_corpus import sentence

pytestmark = pytest.mark.slow

# Modules are loaded once; each start of the command is a fork of this process.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
import training.commands.train_classifier, training.commands.train_language_model
from training.commands.cli import main

seed, out, *arguments = sys.argv[1:]
chance = random.Random(int(seed))
saved = Path(out + ".run") / "checkpoint.safetensors"

def start(flushes, often="0.0001"):
    process = os.fork()
    if process:
        return process
    if flushes:  # kills itself when that many files are written and not yet renamed
        left = iter(range(flushes - 1, -1, -1))
        flush = os.fsync
        os.fsync = lambda file: flush(file) if next(left) else os.kill(os.getpid(), signal.SIGKILL)
    again = ["--resume"] if saved.exists() else []
    os._exit(main([*arguments, "--checkpoint-seconds", often, *again, "--out", out]))

def ended(process):
    number, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if number else None

def changed():
    return saved.stat().st_mtime_ns if saved.exists() else 0

attempts = []
while len(attempts) < 6:
    before = changed()
    flushes = chance.randint(1, 30) if len(attempts) % 3 == 2 else 0
    process = start(flushes)
    if not flushes and len(attempts) % 3 == 1:  # after its first checkpoint
        while changed() == before and ended(process) is None:
            time.sleep(0.001)
    deadline = time.monotonic() + (30.0 if flushes else chance.uniform(0.0, 0.4))
    status = None
    while status is None and time.monotonic() < deadline:
        time.sleep(0.001)
        status = ended(process)
    if status is None:
        os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    attempts.append([status, changed() != before])
    if status >= 0:
        break
else:
    attempts.append([os.waitstatus_to_exitcode(os.waitpid(start(0, "60"), 0)[1]), True])
print(json.dumps(attempts))
"""


def labeled(path: Path, count: int, seed: int) -> str:
    """Writes sentences labeled by whether a dog occurs in them; returns the path."""
    chance = random.Random(seed)
    rows = [
        {"text": text, "label": "dog" if "dog" in text else "no dog"}
        for text in (sentence(chance) for _ in range(count))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def classifier_options(directory: Path) -> list[str]:
    """Options with two splits and a small network."""
    files = ["--train", labeled(directory / "t.jsonl", 160, 1)]
    files += ["--valid", labeled(directory / "v.jsonl", 40, 2)]
    small = ["--hidden", "8", "--embedding", "8", "--mlp", "8", "--batch", "8", "--threads", "1"]
    return [*files, *small, "--epochs", "6", "--patience", "0", "--precision", "float32"]


@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_a_run_that_is_killed_at_random_ends_as_the_unbroken_one(
    tmp_path: Path, command: str
) -> None:
    """SIGKILL during preparation, steps, evaluations and writes, each followed by --resume."""
    if command == "lm":
        options = [*corpus_options(tmp_path), "--steps", "120", "--evaluations", "6"]
        options += ["--softmax", "sampled", "--candidates", "10"]
    else:
        options = [*classifier_options(tmp_path), "--evaluations", "6"]
    arguments = [command, *options, "--name", "same"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    launcher = [sys.executable, "-m", "training"]
    subprocess.run([*launcher, *arguments, "--out", str(whole)], check=True, capture_output=True)
    killer = subprocess.run(
        [sys.executable, "-c", KILLER, "4", str(broken), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    *kills, last = json.loads(killer.stdout.split("\n")[-2])
    assert last[0] == 0, killer.stderr
    assert len(kills) >= 2, "it was over too soon"
    assert all(status == -9 for status, _ in kills), killer.stderr
    assert any(went_on for _, went_on in kills)
    assert_same_weights(whole, broken)
    metrics = [load_artifact(out).manifest.metrics for out in (whole, broken)]
    assert {k: v for k, v in metrics[0].items() if k != "training_seconds"} == {
        k: v for k, v in metrics[1].items() if k != "training_seconds"
    }
    left = {path.name for path in tmp_path.iterdir() if "broken" in path.name}
    assert left == {"broken", "broken.run"}
