"""Distributed training of a classifier, in processes that torchrun has started."""

from pathlib import Path

import pytest
import torch

from tests.support.training.classifier_command import corpus_options, made_up, same, write
from tests.support.training.language_model_command import wait_for_log
from tests.support.training.torchrun import (
    assert_equal_within_rounding,
    assert_loss_is_reported,
    log_of,
    run_two,
    started,
    worker,
)
from training.commands.cli import main
from training.readers.examples import Example
from training.runs.checkpoint import load_checkpoint
from training.runtime.distributed import ProcessGroup

pytestmark = pytest.mark.slow

EXACT = ["--precision", "float32", "--threads", "1", "--patience", "0"]
NO_DROPOUT = [
    option
    for name in ("input", "hidden", "output", "word", "mlp")
    for option in (f"--dropout-{name}", "0")
]
LAYERS = ["--layers", "2", "--layer-decay", "1.5", "--unfreezing", "0.5"]


def test_two_processes_are_one_with_the_combined_batch(tmp_path: Path) -> None:
    """Two processes give the weights and losses of one within rounding.

    A batch may have a single document; some layers begin to learn later.
    """
    options = [*corpus_options(tmp_path), *EXACT, *NO_DROPOUT, *LAYERS, "--epochs", "3"]
    long = Example("it was the ball " * 40, "sport")  # fills a batch by itself
    write(tmp_path / "train.jsonl", [*made_up(240, 0), long])
    assert main(["classifier", *options, "--out", str(tmp_path / "one")]) == 0
    result = run_two("classifier", *options, "--out", str(tmp_path / "two"))
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("the artifact is in") == 1  # one process alone talks
    assert_equal_within_rounding(tmp_path / "one", tmp_path / "two")
    logs = [log_of(tmp_path / name) for name in ("one", "two")]
    tokens = [[r["tokens"] for r in log if "tokens" in r] for log in logs]
    assert tokens[0] == tokens[1]


def test_two_processes_go_on_bit_for_bit(tmp_path: Path) -> None:
    """After a worker was killed, the resumed run has the random numbers of both processes."""
    options = [*corpus_options(tmp_path), *EXACT, "--epochs", "12", "--evaluations", "6"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    result = run_two("classifier", *options, "--out", str(whole))
    assert result.returncode == 0, result.stderr
    often = ["--checkpoint-seconds", "0.001", "--out", str(broken)]
    with started(["classifier", *options, *often]) as launcher:
        wait_for_log(tmp_path / "broken.run" / "log.jsonl", events=2)
        worker(launcher, 1).kill()
        _, stderr = launcher.communicate(timeout=60)
    assert_loss_is_reported(stderr)
    checkpoint = load_checkpoint(tmp_path / "broken.run" / "checkpoint.safetensors")
    assert checkpoint.values["state"]["steps"] > 0
    first, second = checkpoint.tensors["random"]
    assert not torch.equal(first, second)

    assert main(["classifier", "--resume", "--out", str(broken)]) == 2  # it would be another run
    result = run_two("classifier", "--resume", "--out", str(broken))
    assert result.returncode == 0, result.stderr
    assert same(whole, broken)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_means_over_shared_rows_are_the_mean_over_the_batch(size: int, count: int) -> None:
    """Any number of processes reads every row once; a process without rows has a weight of 0."""
    values = [float(7 * row % 5) for row in range(count)]
    means, seen = [], []
    for rank in range(size):
        own, weight = ProcessGroup(rank, size).rows(range(count))
        means.append(weight * sum(values[row] for row in own) / len(own))
        seen += list(own) if weight else []
    assert sorted(seen) == list(range(count))
    assert sum(means) / size == pytest.approx(sum(values) / count)
