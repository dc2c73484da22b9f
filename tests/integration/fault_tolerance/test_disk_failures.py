"""Full disks, missing files and losses that are not numbers.

Each ends a run with an exit status and one message; the run can be resumed from its checkpoint.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from model.artifact import load_artifact
from tests.integration.fault_tolerance.test_crash_recovery import classifier_options
from tests.support.training.forked import run_forked
from tests.support.training.language_model_command import (
    assert_one_line,
    assert_same_weights,
    corpus_options,
)
from training.commands.cli import main
from training.errors import OutputError
from training.runs import export
from training.runs.checkpoint import load_checkpoint
from training.runs.directory import RunDirectory

COMMANDS = ["lm", "classifier"]


def arguments(command: str, directory: Path) -> list[str]:
    """The options of a small run of either command."""
    if command == "lm":
        return [command, *corpus_options(directory), "--steps", "30", "--name", "same"]
    few = ["--linear-buckets", "64"]  # what changes, not the linear part, fills the checkpoint
    return [command, *classifier_options(directory), *few, "--name", "same"]


def run(*options: str, max_file_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    return run_forked(*options, max_file_bytes=max_file_bytes)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_fills_in_the_middle(tmp_path: Path, command: str) -> None:
    """The run warns and trains on; its last checkpoint resumes bit for bit."""
    options = arguments(command, tmp_path)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*options, "--out", str(whole)]) == 0
    largest = (tmp_path / "whole.run" / "checkpoint.safetensors").stat().st_size

    often = ["--checkpoint-seconds", "0.0001", "--out", str(broken)]
    result = run(*options, *often, max_file_bytes=largest * 6 // 10)
    assert result.returncode == 2, result.stderr
    assert "warning: " in result.stderr
    assert_one_line(result.stderr.strip().split("\n")[-1], "cannot be written: File too large")
    assert "Traceback" not in result.stderr
    load_checkpoint(tmp_path / "broken.run" / "checkpoint.safetensors")
    assert main([command, "--resume", "--out", str(broken)]) == 0
    assert_same_weights(whole, broken)


ON_A_SMALL_DISK = """
import json, shutil, subprocess, sys
place, copy, *options = sys.argv[1:]
def run(*options):
    command = [sys.executable, "-m", "training", *options, "--out", place + "/m"]
    return subprocess.run(command, capture_output=True, text=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=140k", "none", place], check=True)
full = run(*options)
subprocess.run(["mount", "-o", "remount,size=10m", place], check=True)
resumed = run("lm", "--resume")
shutil.copytree(place + "/m", copy)
print(json.dumps([full.returncode, full.stderr, resumed.returncode, resumed.stderr]))
"""


@pytest.mark.slow
def test_a_real_disk_that_is_full(tmp_path: Path) -> None:
    """A run on a full file system of 140 kB is resumed after the file system has been enlarged."""
    unshare = [shutil.which("unshare") or "unshare", "--map-root-user", "--mount"]
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "none", str(place)]
    try:
        permitted = subprocess.run([*unshare, *mount], capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no unshare here")
    if permitted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    options = arguments("lm", tmp_path)
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0
    code = [sys.executable, "-c", ON_A_SMALL_DISK, str(place), str(tmp_path / "copy")]
    child = subprocess.run([*unshare, *code, *options], capture_output=True, text=True, check=True)
    status, output, resumed_status, resumed_told = json.loads(child.stdout)
    assert status == 2, output
    assert "checkpoint.safetensors: cannot be written: No space left on device" in output
    assert "Traceback" not in output
    assert resumed_status == 0, resumed_told
    assert_same_weights(tmp_path / "whole", tmp_path / "copy")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_model_that_cannot_be_written_is_in_the_checkpoint(
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The run warns and ends with a message; resumed with free space it saves the model."""
    options = arguments(command, tmp_path)
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "m"
    capfd.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(export, "save_artifact", full)
        assert main([*options, "--out", str(out)]) == 2
    stderr = capfd.readouterr().err
    assert "warning: " in stderr
    last = stderr.strip().split("\n")[-1]
    assert_one_line(last, "m: the model cannot be written: No space left on device", "--resume")
    assert main([command, "--resume", "--out", str(out)]) == 0
    assert_same_weights(tmp_path / "whole", out)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_is_full_at_the_first_checkpoint(
    tmp_path: Path, command: str, overwrite: bool
) -> None:
    """The message advises to start the command again; an earlier run is unchanged."""
    options, out = arguments(command, tmp_path), tmp_path / "m"
    earlier = b""
    if overwrite:
        assert main([*options, "--out", str(out)]) == 0
        earlier = (tmp_path / "m.run" / "checkpoint.safetensors").read_bytes()
        options.append("--overwrite")

    result = run(*options, "--out", str(out), max_file_bytes=9000)
    assert result.returncode == 2
    last = result.stderr.strip().split("\n")[-1]
    assert_one_line(last, "checkpoint.safetensors: cannot be written: File too large")
    assert "start the command again" in last
    assert "--resume" not in last
    if overwrite:
        assert (tmp_path / "m.run" / "checkpoint.safetensors").read_bytes() == earlier
        assert main([command, "--resume", "--out", str(out)]) == 0
    else:
        assert not list(tmp_path.glob("m*"))
        assert main([*options, "--out", str(out)]) == 0


@pytest.mark.parametrize("limit", [0, 1000, 3000])
def test_a_disk_that_is_full_for_a_report(tmp_path: Path, limit: int) -> None:
    """A report on a full disk ends with one line, and succeeds at the same path later."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0

    page = ["evaluate", str(out), "--data", options[4], "--out", str(tmp_path / "page")]
    result = run(*page, max_file_bytes=limit)
    assert result.returncode == 2
    last = result.stderr.strip().split("\n")[-1]
    assert_one_line(last, "page: cannot be written: File too large")
    assert main(page) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """An error of the log names the log; /dev/full takes its place."""
    directory = RunDirectory(tmp_path / "m")
    directory.begin(overwrite=False)
    directory.log.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"log\.jsonl: cannot be written: No space left"):
        directory.append({"event": "training", "step": 1})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_has_vanished_is_named_and_its_checkpoint_kept(
    tmp_path: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The run is resumed when the missing file is back."""
    options, out = arguments(command, tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0
    shutil.rmtree(out)  # with its artifact the run would be complete
    train = Path(options[2])
    train.rename(tmp_path / "away")
    checkpoint = tmp_path / "m.run" / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    capfd.readouterr()
    assert main([command, "--resume", "--out", str(out)]) == 2
    stderr = capfd.readouterr().err
    assert_one_line(stderr, f"{train}: cannot be read: No such file", "continue with --resume")
    assert checkpoint.read_bytes() == before
    (tmp_path / "away").rename(train)
    assert main([command, "--resume", "--out", str(out)]) == 0
    load_artifact(out)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_loss_that_is_no_number_ends_the_run(
    tmp_path: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The exit status is 1 with one line of advice; checkpoint and best model can be loaded."""
    out = tmp_path / "m"
    wild = ["--learning-rate", "1e30", "--clip-norm", "0", "--weight-decay", "0"]
    options = [*arguments(command, tmp_path), *wild, "--evaluations", "100"]
    assert main([*options, "--out", str(out)]) == 1
    last = capfd.readouterr().err.strip().split("\n")[-1]
    assert_one_line(last, "the loss is no longer a number", "lower --learning-rate")
    load_checkpoint(tmp_path / "m.run" / "checkpoint.safetensors")
    if out.exists():
        load_artifact(out)
