"""Runs that diverge or learn nothing are reported, and replace no model."""

import json
import math
from pathlib import Path

import pytest
import torch

from model.artifact import load_artifact
from tests.integration.fault_tolerance.test_disk_failures import arguments
from tests.support.training.language_model_command import assert_same_weights
from training.commands.cli import main
from training.errors import DivergedError, OutputError
from training.evaluation.metric_names import format_loss, format_perplexity, format_value
from training.optimization.clipping import Clipping
from training.runs.directory import RunDirectory
from training.runs.export import save_model
from training.runs.progress import format_duration
from training.trainers import language_model

WILD = ["--learning-rate", "1000", "--clip-norm", "0"]
COMMANDS = ["lm", "classifier"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_that_diverges_ends_with_status_1(
    tmp_path: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message has the step and advice, and no number has too many digits."""
    assert main([*arguments(command, tmp_path), *WILD, "--out", str(tmp_path / "m")]) == 1
    stderr = capfd.readouterr().err
    last = stderr.strip().split("\n")[-1]
    assert last.startswith("error: the run has diverged")
    for part in ("after step", "lower --learning-rate", "--clip-norm above 0", "--overwrite"):
        assert part in last
    assert max(map(len, stderr.replace("/", " ").split())) < 60


@pytest.mark.parametrize("command", COMMANDS)
def test_a_diverged_run_replaces_no_model(tmp_path: Path, command: str) -> None:
    """A diverged run leaves the earlier model, even with --overwrite."""
    options, out = arguments(command, tmp_path), tmp_path / "m"
    assert main([*options, "--out", str(out)]) == 0
    assert main([*options, "--out", str(tmp_path / "copy")]) == 0
    assert main([*options, *WILD, "--overwrite", "--out", str(out)]) == 1
    assert_same_weights(out, tmp_path / "copy")


def test_a_classifier_that_has_learned_nothing_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A classifier as accurate as a constant answer is reported at the end of the run."""
    options = [*arguments("classifier", tmp_path), "--learning-rate", "1e-12"]
    assert main([*options, "--linear-ngrams", "0", "--out", str(tmp_path / "m")]) == 0
    stderr = capfd.readouterr().err
    assert "warning: the model is no better than the answer" in stderr
    assert "to every document" in stderr
    assert "such as 2.5e-13 instead of 1e-12" in stderr


def test_a_language_model_that_only_guesses_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A language model with a higher loss than a guess by frequency is reported at the end."""
    options = [*arguments("lm", tmp_path), "--out"]
    warning = "warning: the model is no better than guessing"
    assert main([*options, str(tmp_path / "m")]) == 0
    assert warning not in capfd.readouterr().err
    loss = load_artifact(tmp_path / "m").manifest.metrics["validation_loss"]
    monkeypatch.setattr(language_model, "guessing_loss", lambda _: 0.9 * loss)
    assert main([*options, str(tmp_path / "n")]) == 0
    assert warning in capfd.readouterr().err


def test_messages_by_validation_loss() -> None:
    """A loss that is not finite ends a run; a high one only if the training loss is high, too."""
    clipping = Clipping(by_value=0.0, by_norm=0.25)
    clipping.check(validation=5.0, training=4.0, guessing=6.0, step=1)
    clipping.check(validation=50.0, training=0.1, guessing=6.0, step=1)  # learned by heart
    for validation, training in ((math.nan, 1.0), (math.inf, 1.0), (50.0, 49.0), (1e30, 1e30)):
        with pytest.raises(DivergedError, match="lower --clip-norm"):
            clipping.check(validation, training, 6.0, 3)


@pytest.mark.parametrize("number", [65_600.0, -1e38, math.inf, math.nan])
def test_weights_that_no_artifact_may_have_are_divergence(tmp_path: Path, number: float) -> None:
    """The message names the output and does not advise to free space; nothing is written."""
    directory = RunDirectory(tmp_path / "m")
    network = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(network.bias, number)
    with pytest.raises(DivergedError, match="its weights bias are not all from -65504") as error:
        save_model(directory, storage="float32", network=network)
    assert str(error.value).startswith(f"{directory.artifact}: the run has diverged")
    assert "--resume" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_with_foreign_files_gets_no_advice_about_the_disk(tmp_path: Path) -> None:
    """A directory with foreign files is no full disk."""
    (tmp_path / "precious.txt").write_text("mine")
    parts = {"network": torch.nn.Linear(2, 2), "tokenizer": None, "name": ""}
    with pytest.raises(OutputError, match=r"holds precious\.txt") as error:
        save_model(RunDirectory(tmp_path), storage="float32", provenance={}, metrics={}, **parts)
    assert "free space" not in str(error.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_zero_gradients_are_reported(
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Steps without any gradient are reported."""
    monkeypatch.setattr(Clipping, "clip", lambda *_: 0.0)
    assert main([*arguments(command, tmp_path), "--out", str(tmp_path / "m")]) == 0
    assert "warning: the gradient has been zero for" in capfd.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_first_loss_that_is_no_number_leaves_no_model(
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """After a first loss of NaN the message states that no model was written."""
    clip = Clipping.clip
    monkeypatch.setattr(
        Clipping, "clip", lambda self, net, _, step: clip(self, net, math.nan, step)
    )
    assert main([*arguments(command, tmp_path), "--out", str(tmp_path / "m")]) == 1
    assert "No model of this run was written" in capfd.readouterr().err
    assert not (tmp_path / "m").exists()


def test_numbers_keep_their_digits_while_they_can_be_read() -> None:
    """Numbers above a million are written with powers of ten."""
    assert format_perplexity(1234.567) == "1,234.57"
    assert format_perplexity(math.exp(700)) == "1.014e+304"
    assert format_loss(2.5) == "2.5000"
    assert format_value("word_perplexity", 1e300) == "1.000e+300"
    assert json.loads(json.dumps(math.exp(700), allow_nan=False)) > 1e300
    assert format_duration(math.inf) == "years"
