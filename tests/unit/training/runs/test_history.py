"""The history of a run: every step once, after any number of resumes."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.training.language_model_command import corpus_options
from training.commands.cli import main
from training.runs.directory import RunDirectory, read_log
from training.runs.history import read_history


def run_directory(tmp_path: Path) -> RunDirectory:
    """A run directory with an empty log."""
    directory = RunDirectory(tmp_path / "model")
    directory.begin(overwrite=False)
    return directory


def logged_steps(directory: RunDirectory) -> list[tuple[str, int]]:
    """Event and step of every record."""
    return [(record["event"], record["step"]) for record in read_log(directory.log)]


def test_a_resumed_run_logs_no_step_twice(tmp_path: Path) -> None:
    """A resume removes records after the checkpoint and keeps its own validation."""
    directory = run_directory(tmp_path)
    for step in (1, 2, 3):
        for event in ("validation", "training"):
            directory.append({"event": event, "step": step, "loss": 1.0 / step})
    directory.append({"event": "final", "step": 3})
    directory.rewind(2)
    assert logged_steps(directory) == [("validation", 1), ("training", 1), ("validation", 2)]


def test_lines_that_were_cut_short_are_left_out(tmp_path: Path) -> None:
    """A line that a crash has cut short is skipped alone."""
    directory = run_directory(tmp_path)
    directory.append({"event": "validation", "step": 1, "loss": 2.0})
    with directory.log.open("ab") as file:
        file.write(b'{"event": "validation", "step": 2, "lo\xff\n7\n')
    directory.append({"event": "validation", "step": 3, "loss": None})
    assert logged_steps(directory) == [("validation", 1), ("validation", 3)]
    history = read_history(tmp_path / "model")
    assert history is not None
    assert history.validation.steps == (1,)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_run_has_its_curves(tmp_path: Path, resumed: bool) -> None:
    """A run has validation loss and learning rate by step, also when resumed after its end."""
    out = tmp_path / "model"
    corpus = corpus_options(tmp_path)
    assert main(["lm", *corpus, "--steps", "40", "--out", str(out)]) == 0
    if resumed:
        (out / "manifest.json").unlink()
        for file in out.iterdir():
            file.unlink()
        assert main(["lm", "--resume", "--out", str(out)]) == 0
    history = read_history(out)
    assert history is not None
    assert history.validation.steps[-1] == 40
    assert history.validation.values[-1] < history.validation.values[0]
    assert max(history.learning_rate.values) > 2 * history.learning_rate.values[-1]
    assert set(history.record()) >= {"validation", "learning_rate"}
    log = [json.loads(line) for line in RunDirectory(out).log.read_text().splitlines()]
    events = Counter((record["event"], record["step"]) for record in log)
    assert events["final", 40] == 1
    assert set(events.values()) == {1}


def test_without_a_log_there_is_no_history(tmp_path: Path) -> None:
    """An artifact without a run directory has no history."""
    assert read_history(tmp_path) is None
