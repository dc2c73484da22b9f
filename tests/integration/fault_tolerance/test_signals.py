"""Signals and closed outputs in each stage of a run."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model.artifact import load_artifact
from tests.integration.fault_tolerance.test_disk_failures import arguments, run
from tests.support.training.forked import ForkedCommand, run_forked
from training.commands.cli import main
from training.runs.directory import VALIDATION_EVENT, read_log

COMMANDS = ["lm", "classifier"]
ENDLESS = ["--patience", "0", "--evaluations", "10000"]


def start(options: list[str], out: Path) -> ForkedCommand:
    """Starts the command as a process with a pipe for standard error."""
    return ForkedCommand(*options, "--out", str(out))


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until the condition holds."""
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def evaluations(directory: Path) -> int:
    """The number of evaluations in the log of a run."""
    log = read_log(directory / "m.run" / "log.jsonl")
    return sum(record["event"] == VALIDATION_EVENT for record in log)


def endless(command: str, directory: Path) -> list[str]:
    """The options of a run that does not end soon."""
    options = arguments(command, directory)
    name, length = ("--steps", "1000000") if command == "lm" else ("--epochs", "1000")
    options[options.index(name) + 1] = length
    return [*options, *ENDLESS]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_the_first_checkpoint_nothing_is_left(tmp_path: Path, number: int) -> None:
    """A signal while long data are read ends the command without files."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    train = Path(options[2])
    train.write_bytes(train.read_bytes() * (100_000_000 // train.stat().st_size))
    process = start(options, out)
    wait_for((tmp_path / "m.run.draft").exists)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 128 + number
    assert "nothing is kept of it, start the command again" in stderr
    assert "Traceback" not in stderr
    assert not list(tmp_path.glob("m*"))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_closed_terminal_saves_the_run(tmp_path: Path, command: str) -> None:
    """SIGHUP stops the run between two steps, as SIGTERM does."""
    process = start(endless(command, tmp_path), tmp_path / "m")
    wait_for(lambda: evaluations(tmp_path) > 0)
    process.send_signal(signal.SIGHUP)
    _, stderr = process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGHUP
    assert "stopped; continue with --resume" in stderr


def test_a_signal_that_was_ignored_stays_ignored(tmp_path: Path) -> None:
    """SIGHUP stays ignored under `nohup`; SIGTERM still stops the run."""
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "training"]
    options = [*endless("lm", tmp_path), "--out", str(tmp_path / "m")]
    process = subprocess.Popen([*ignoring, *options], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: evaluations(tmp_path) > 0)
    process.send_signal(signal.SIGHUP)
    before = evaluations(tmp_path)
    wait_for(lambda: evaluations(tmp_path) > before + 1)
    process.terminate()
    process.communicate(timeout=600)
    assert process.returncode == 128 + signal.SIGTERM


WHILE_CONCLUDING = """
import os, signal, sys
from training.trainers import checkpointer
from training.commands.cli import main
checkpointer.round_to_storage = lambda *_: os.kill(os.getpid(), signal.{name})
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("command", COMMANDS)
def test_after_the_last_step_the_run_is_kept(tmp_path: Path, command: str, name: str) -> None:
    """After a signal during the last measurement, --resume saves the model."""
    code = WHILE_CONCLUDING.format(name=name)
    out = ["--out", str(tmp_path / "m")]
    program = tmp_path / "program.py"
    program.write_text(code)
    result = run_forked(*arguments(command, tmp_path), *out, module=str(program))
    assert result.returncode == 128 + getattr(signal, name), result.stderr
    assert "the last checkpoint is kept; continue with --resume" in result.stderr
    assert "Traceback" not in result.stderr
    assert main([command, "--resume", *out]) == 0
    load_artifact(tmp_path / "m")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_that_nobody_reads_goes_on(tmp_path: Path, command: str) -> None:
    """A run goes on when the reader of its standard error has gone."""
    process = start(arguments(command, tmp_path), tmp_path / "m")
    process.stderr.close()
    assert process.wait(timeout=600) == 0
    load_artifact(tmp_path / "m")


def test_a_table_that_nobody_reads_is_no_traceback(tmp_path: Path) -> None:
    """With a closed standard output the JSON file is written; the status is that of SIGPIPE."""
    options, out, figures = arguments("lm", tmp_path), tmp_path / "m", tmp_path / "f.json"
    assert main([*options, "--out", str(out)]) == 0
    evaluate = ["evaluate", str(out), "--data", options[4], "--json", str(figures)]
    command = [sys.executable, "-m", "training", *evaluate]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read()
        assert process.wait(timeout=600) == 128 + signal.SIGPIPE, stderr
    assert "Traceback" not in stderr
    assert figures.exists()


@pytest.mark.parametrize("option", ["--json", "--out"])
def test_an_unwritable_output_is_reported_before_the_work(tmp_path: Path, option: str) -> None:
    """An output that cannot be written is refused before the data are read."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0
    place = "/proc/none/f.json"
    result = run("evaluate", str(out), "--data", "absent.txt", option, place)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: {place}: cannot be written")
    assert result.stderr.count("\n") == 1


def test_a_device_takes_the_figures(tmp_path: Path) -> None:
    """Figures can be written to a device, which stays a device."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0
    evaluate = ["evaluate", str(out), "--data", options[4], "--json"]
    assert run(*evaluate, "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()
    full = run(*evaluate, "/dev/full")
    assert full.returncode == 2
    assert "/dev/full: cannot be written: No space left" in full.stderr
