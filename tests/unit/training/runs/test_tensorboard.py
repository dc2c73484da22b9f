"""Curves for TensorBoard: read back from the event files with its own reader."""

import errno
import importlib.util
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.integration.fault_tolerance.test_disk_failures import arguments
from tests.support.training.language_model_command import assert_one_line
from training.commands.cli import main
from training.runs import tensorboard
from training.runs.directory import read_log
from training.trainers import reporter

accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
MEASURES = {"lm": "perplexity", "classifier": "accuracy"}


def curves(directory: Path) -> dict[str, dict[int, float]]:
    """The values by step of every tag."""
    events = accumulator.EventAccumulator(str(directory)).Reload()
    tags = events.Tags()["scalars"]
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in tags}


@pytest.mark.parametrize("command", MEASURES)
def test_the_curves_are_those_of_the_log(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss, perplexity or accuracy, learning rate, gradient norm and speed of every step."""
    for name in ("LOG_INTERVAL", "THROUGHPUT_WINDOW"):
        monkeypatch.setattr(reporter, name, 0.0)
    board, out = tmp_path / "board", tmp_path / "m"
    options = [*arguments(command, tmp_path), "--tensorboard", str(board), "--out", str(out)]
    assert main(options) == 0
    board_curves = curves(board)
    measured = {"loss", MEASURES[command], "learning_rate"}
    assert {f"validation/{name}" for name in measured} <= board_curves.keys()
    measured |= {"gradient_norm", "tokens_per_second"}
    assert {f"training/{name}" for name in measured} <= board_curves.keys()
    log = read_log(tmp_path / "m.run" / "log.jsonl")
    for event in ("training", "validation"):
        logged = {record["step"]: record["loss"] for record in log if record["event"] == event}
        assert board_curves[f"{event}/loss"] == pytest.approx(logged)
        assert len(logged) > 3
    assert all(norm > 0 for norm in board_curves["training/gradient_norm"].values())


def test_a_resumed_run_goes_on_in_its_curves(tmp_path: Path) -> None:
    """Steps that are repeated after a resume are written once."""
    board = tmp_path / "board"
    first = tensorboard.TensorBoardLog(board, 0)
    for step in range(1, 7):
        first.add("training", step, {"loss": 1.0, "progress": 0.1, "unknown": float("nan")})
    first.close()
    again = tensorboard.TensorBoardLog(board, 3)
    for step in (4, 5):
        again.add("training", step, {"loss": 2.0})
    again.close()
    assert curves(board) == {"training/loss": {1: 1.0, 2: 1.0, 3: 1.0, 4: 2.0, 5: 2.0}}


def test_without_the_package_the_option_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """With what to install, before anything is done."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for command in MEASURES:
        options = ["--train", "none", "--out", str(tmp_path / "m")]
        assert main([command, *options, "--tensorboard", str(tmp_path / "b")]) == 2
        assert_one_line(capfd.readouterr().err, "--tensorboard", "pip install tensorboard")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_for_the_curves_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A failed write is reported once, and the model is trained."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tensorboard, "_writer", lambda *_: SimpleNamespace(add_scalar=full))
    options = [*arguments("lm", tmp_path), "--tensorboard", str(tmp_path / "board")]
    assert main([*options, "--out", str(tmp_path / "m")]) == 0
    stderr = capfd.readouterr().err
    assert stderr.count("warning: --tensorboard: cannot be written: No space left") == 1
