"""Two processes with one output: the second is refused, the first goes on."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from tests.integration.fault_tolerance.test_disk_failures import arguments, run
from tests.support.training.forked import ForkedCommand
from tests.support.training.language_model_command import assert_one_line, assert_same_weights
from training.commands.cli import main
from training.errors import OutputError
from training.runs.lock import exclusive_lock

pytestmark = pytest.mark.slow


def stopped_while_preparing(options: list[str], out: Path) -> ForkedCommand:
    """Starts a run and stops it (SIGSTOP) while it holds its lock, before its first checkpoint."""
    process = ForkedCommand(*options, "--out", str(out))
    lock = out.with_name(out.name + ".lock")
    deadline = time.monotonic() + 600
    while not (lock.exists() and lock.read_text().strip()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGSTOP)
    return process


@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_a_second_start_is_refused_and_the_first_goes_on(tmp_path: Path, command: str) -> None:
    """The error names the process, also with --overwrite; no lock is left in the end."""
    options, out = arguments(command, tmp_path), tmp_path / "m"
    first = stopped_while_preparing(options, out)
    try:
        for further in ([], ["--overwrite"]):
            second = run(*options, *further, "--out", str(out))
            assert second.returncode == 2
            assert_one_line(second.stderr, f"m: process {first.pid} is writing there")
    finally:
        first.send_signal(signal.SIGCONT)
    _, stderr = first.communicate(timeout=600)
    assert first.returncode == 0, stderr
    assert sorted(path.name for path in tmp_path.glob("m*")) == ["m", "m.run"]
    assert main([*options, "--out", str(tmp_path / "n")]) == 0
    assert_same_weights(out, tmp_path / "n")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The next run replaces its lock file and its draft, whatever process number the file holds."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    first = stopped_while_preparing(options, out)
    first.kill()
    first.communicate(timeout=60)
    (tmp_path / "m.lock").write_text(f"{os.getpid()}\n")
    assert main([*options, "--out", str(out)]) == 0
    assert sorted(path.name for path in tmp_path.glob("m*")) == ["m", "m.run"]


def test_a_run_in_progress_is_not_resumed_a_second_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """--resume is refused while another process writes the checkpoint."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0
    capfd.readouterr()
    with exclusive_lock(out):
        assert main(["lm", "--resume", "--out", str(out)]) == 2
    assert_one_line(capfd.readouterr().err, f"m: process {os.getpid()} is writing there")


def test_reports_have_one_writer(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every command that writes a page, plots or a JSON file locks it."""
    options, out = arguments("lm", tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0
    data = ["--data", str(tmp_path / "valid.txt")]
    page, figures = tmp_path / "page", tmp_path / "f.json"
    asked = [
        (page, ["evaluate", str(out), *data, "--out", str(page)]),
        (figures, ["evaluate", str(out), *data, "--json", str(figures)]),
        (figures, ["agreement", str(out), "--trace", "a", "--words", "b", "--json", str(figures)]),
        (page, ["gradients", "--artifact", str(out), *data, "--out", str(page)]),
    ]
    for place, arguments_ in asked:
        capfd.readouterr()
        with exclusive_lock(place):
            assert main(arguments_) == 2
        assert_one_line(capfd.readouterr().err, "is writing there")
        assert not place.exists()


def test_two_runs_share_a_token_cache(tmp_path: Path) -> None:
    """Of two runs started together one writes the tokens, the other waits for them."""
    options = [*arguments("lm", tmp_path), "--token-cache", str(tmp_path / "cache")]
    outs = [tmp_path / "1", tmp_path / "2"]
    processes = [ForkedCommand(*options, "--out", str(out)) for out in outs]
    for process in processes:
        _, stderr = process.communicate(timeout=600)
        assert process.returncode == 0, stderr
    assert_same_weights(*outs)


def test_a_place_without_a_name_is_refused() -> None:
    """A path without a name has no place beside it for a lock file."""
    for place in (Path("/"), Path(), Path("..")):
        with pytest.raises(OutputError, match="--out a new name"), exclusive_lock(place):
            pass


def test_a_directory_made_for_a_lock_goes_with_it(tmp_path: Path) -> None:
    """The lock removes the directories that it has made."""
    with exclusive_lock(tmp_path / "new" / "deep" / "m"):
        assert (tmp_path / "new" / "deep" / "m.lock").exists()
    assert not (tmp_path / "new").exists()


def test_a_lock_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A full disk leaves neither the lock nor the directories made for it."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with (
            pytest.raises(OutputError, match="cannot be written: File too large; choose another"),
            exclusive_lock(tmp_path / "new" / "deep" / "m"),
        ):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
