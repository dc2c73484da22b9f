"""Distributed training of a language model, in processes that torchrun has started."""

import signal
from pathlib import Path

import pytest
import torch

from tests.support.training.language_model_command import (
    assert_same_weights,
    corpus_options,
    wait_for_log,
)
from tests.support.training.torchrun import (
    assert_equal_within_rounding,
    assert_loss_is_reported,
    run_two,
    started,
    worker,
)
from training.commands.cli import main
from training.runs.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

NO_DROPOUT = [
    option
    for name in ("input", "hidden", "output", "embedding", "weight")
    for option in (f"--dropout-{name}", "0")
]


def test_two_processes_are_one_with_the_combined_batch(tmp_path: Path) -> None:
    """Two processes with half of the lanes each give weights and losses of one within rounding."""
    options = [*corpus_options(tmp_path), *NO_DROPOUT, "--steps", "30", "--restart", "0.1"]
    assert main(["lm", *options, "--out", str(tmp_path / "one")]) == 0
    result = run_two("lm", *options, "--out", str(tmp_path / "two"))
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("tokens to train on") == 1  # one process alone talks
    assert_equal_within_rounding(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(("arguments", "ending"), [([], "done"), (["fail"], "the step has failed")])
def test_nothing_of_a_process_group_is_left_behind(arguments: list[str], ending: str) -> None:
    """No thread of gloo is left, with or without an error.

    A thread that waits for other processes could abort this one at its end.
    """
    result = run_two(*arguments, module="tests.support.training.leaving_process_group")
    assert result.returncode == 0, result.stderr
    stdout = sorted(result.stdout.splitlines())
    assert stdout == [f"rank {rank}: {ending}; left: []" for rank in (0, 1)]


def test_two_processes_go_on_bit_for_bit(tmp_path: Path) -> None:
    """After a kill, the resumed run has the random and carried states of both processes."""
    options = [*corpus_options(tmp_path), "--steps", "40", "--softmax", "sampled"]
    options += ["--candidates", "10", "--evaluations", "8"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    result = run_two("lm", *options, "--out", str(whole))
    assert result.returncode == 0, result.stderr
    often = ["--checkpoint-seconds", "0.001", "--out", str(broken)]
    with started(["lm", *options, *often]) as launcher:
        wait_for_log(tmp_path / "broken.run" / "log.jsonl", events=3)
        worker(launcher, 0).kill()
        _, stderr = launcher.communicate(timeout=60)
    assert_loss_is_reported(stderr)
    checkpoint = load_checkpoint(tmp_path / "broken.run" / "checkpoint.safetensors")
    assert 0 < checkpoint.values["state"]["steps"] < 40
    first, second = checkpoint.tensors["random"]
    assert not torch.equal(first, second)
    assert checkpoint.tensors["carried.hidden"].shape[1] == 8  # of all lanes

    assert main(["lm", "--resume", "--out", str(broken)]) == 2  # alone it would be another run
    result = run_two("lm", "--resume", "--out", str(broken))
    assert result.returncode == 0, result.stderr
    assert_same_weights(whole, broken)


def test_a_process_that_dies_ends_the_main_process(tmp_path: Path) -> None:
    """The main process reports the failure with a remedy; the checkpoint is kept."""
    options = [*corpus_options(tmp_path), "--steps", "1000000", "--evaluations", "100000"]
    with started(["lm", *options, "--patience", "0", "--out", str(tmp_path / "m")]) as launcher:
        wait_for_log(tmp_path / "m.run" / "log.jsonl", events=2)
        worker(launcher, 1).kill()
        _, stderr = launcher.communicate(timeout=60)
    assert launcher.returncode != 0
    assert_loss_is_reported(stderr)
    load_checkpoint(tmp_path / "m.run" / "checkpoint.safetensors")


def test_a_signal_saves_a_run_of_two(tmp_path: Path) -> None:
    """A signal to torchrun reaches both processes; the main process saves the state of both."""
    options = [*corpus_options(tmp_path), "--steps", "1000000", "--evaluations", "100000"]
    options += ["--patience", "0", "--checkpoint-seconds", "3600"]
    with started(["lm", *options, "--out", str(tmp_path / "m")]) as launcher:
        wait_for_log(tmp_path / "m.run" / "log.jsonl", events=2)
        launcher.send_signal(signal.SIGTERM)
        _, stderr = launcher.communicate(timeout=60)
    assert "stopped; continue with --resume" in stderr
    checkpoint = load_checkpoint(tmp_path / "m.run" / "checkpoint.safetensors")
    assert checkpoint.values["state"]["steps"] > 0


def test_batches_that_cannot_be_divided_are_refused(tmp_path: Path) -> None:
    """A batch that cannot be divided is reported once, and leaves no files."""
    options = corpus_options(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    result = run_two("lm", *options, "--batch", "7", "--out", str(tmp_path / "m"))
    assert result.returncode != 0
    assert result.stderr.count("error: --batch: 7 lanes cannot be shared evenly by 2") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_other_commands_run_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Other commands refuse to run under torchrun; only the main process prints the error."""
    environment = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "0"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["gradients", "--out", str(tmp_path / "plots")]) == 2
    assert "only `lm` and `classifier` run in several processes" in capfd.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert main(["gradients", "--out", str(tmp_path / "plots")]) == 2
    assert capfd.readouterr().err == ""
