"""Training in processes that average their weights every few steps (`--average-every`)."""

from pathlib import Path

import pytest
import torch

from model.artifact import load_artifact
from tests.support.training.language_model_command import (
    assert_same_weights,
    corpus_options,
    wait_for_log,
)
from tests.support.training.torchrun import log_of, run_two, started, worker
from training.commands.cli import main
from training.runs.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow


def losses(artifact: Path) -> list[float]:
    """The validation losses of a run."""
    return [entry["loss"] for entry in log_of(artifact) if entry["event"] == "validation"]


def test_it_learns_about_as_much_as_with_averaged_gradients(tmp_path: Path) -> None:
    """The loss falls as in one process with the combined batch, with other weights."""
    options = [*corpus_options(tmp_path), "--steps", "60"]
    assert main(["lm", *options, "--out", str(tmp_path / "gradients")]) == 0
    result = run_two("lm", *options, "--average-every", "4", "--out", str(tmp_path / "weights"))
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    gradients, weights = losses(tmp_path / "gradients"), losses(tmp_path / "weights")
    assert min(weights) < weights[0]
    assert min(weights) == pytest.approx(min(gradients), rel=0.1)
    first, second = (
        load_artifact(tmp_path / name).network.state_dict() for name in ("gradients", "weights")
    )
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """The checkpoint holds the weights and the moments of each process between two means, and the
    anchor and the velocity of the outer steps.
    """
    options = [*corpus_options(tmp_path), "--steps", "40", "--evaluations", "8"]
    options += ["--average-every", "7", "--outer-momentum", "0.9", "--outer-learning-rate", "0.7"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    result = run_two("lm", *options, "--out", str(whole))
    assert result.returncode == 0, result.stderr
    often = ["--checkpoint-seconds", "0.001", "--out", str(broken)]
    with started(["lm", *options, *often]) as launcher:
        wait_for_log(tmp_path / "broken.run" / "log.jsonl", events=3)
        worker(launcher, 0).kill()
        launcher.communicate(timeout=60)
    checkpoint = load_checkpoint(tmp_path / "broken.run" / "checkpoint.safetensors")
    assert 0 < checkpoint.values["state"]["steps"] < 40
    assert "local.1" in checkpoint.tensors
    assert "outer.velocity.embedding.weight" in checkpoint.tensors
    result = run_two("lm", "--resume", "--out", str(broken))
    assert result.returncode == 0, result.stderr
    assert_same_weights(whole, broken)


def test_one_process_ignores_it(tmp_path: Path) -> None:
    """In one process there is nothing to average, and the weights are those of a plain run."""
    options = [*corpus_options(tmp_path), "--steps", "10"]
    assert main(["lm", *options, "--out", str(tmp_path / "plain")]) == 0
    assert main(["lm", *options, "--average-every", "4", "--out", str(tmp_path / "local")]) == 0
    assert_same_weights(tmp_path / "plain", tmp_path / "local")


def test_a_run_that_diverges_says_so(tmp_path: Path) -> None:
    """A process whose weights are no longer finite ends the run with the error of a single one."""
    options = [*corpus_options(tmp_path), "--steps", "20", "--average-every", "4"]
    options += ["--learning-rate", "1e30", "--clip-norm", "0"]
    result = run_two("lm", *options, "--out", str(tmp_path / "m"))
    assert result.returncode != 0
    assert "the run has diverged" in result.stderr
    assert "another process" not in result.stderr
