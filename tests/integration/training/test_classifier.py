"""The classifier command: real files in, a real artifact out, killed runs continued bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model.artifact import load_artifact
from model.networks import Classifier
from tests.support.training.classifier_command import TOPICS, corpus_options, made_up, same, write
from training.commands.cli import main
from training.config.classifier import ClassifierRecipe
from training.evaluation.classifier import Predictions
from training.readers.examples import Example
from training.runs.checkpoint import load_checkpoint
from training.runs.directory import RunDirectory
from training.runtime.distributed import ProcessGroup
from training.trainers.classifier import ClassifierTask
from training.trainers.trainer import Trainer


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Options that name three splits of the made-up corpus and a small network."""
    return corpus_options(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--cell", "elman"],
        ["--pooling", "last"],
        ["--preset", "lecture", "--cell", "elman"],
        ["--preset", "lecture", "--cell", "gru"],
        ["--cell", "gru", "--no-bidirectional", "--layers", "2"],
        ["--tokenizer", "char", "--cell", "gru", "--max-tokens", "60"],
        ["--tokenizer", "bpe", "--vocabulary", "300", "--clip-value", "0.1"],
    ],
)
def test_a_classifier_separates_the_topics(
    files: list[str], tmp_path: Path, options: list[str]
) -> None:
    """Every cell, tokenizer and pooling learns by itself; metrics and calibration are recorded."""
    out = tmp_path / "topics"
    options = [*options, "--linear-ngrams", "0"]
    size = ["--epochs", "12", "--learning-rate", "0.005", "--hidden", "24", "--embedding", "24"]
    assert main(["classifier", *files, *size, *options, "--out", str(out)]) == 0
    artifact = load_artifact(out)
    manifest = artifact.manifest
    assert isinstance(artifact.network, Classifier)
    assert manifest.labels == ("food", "sport", "weather")
    assert manifest.name == "topics"
    assert manifest.calibration is not None
    measured = ("accuracy", "macro_f1", "calibration_error_before", "calibration_error", "loss")
    for split in ("validation", "test"):
        assert {f"{split}_{name}" for name in measured} <= set(manifest.metrics)
    # chance is one in three, and one topic never learned two in three; six seeds gave 0.88 to 1
    assert manifest.metrics["test_accuracy"] > 0.7


def test_a_linear_classifier_joins(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Beside a network that has learned nothing it separates the topics, served as measured."""
    idle = ["--epochs", "1", "--learning-rate", "1e-12", "--hidden", "8", "--embedding", "8"]
    accuracies = {}
    for longest in ("0", "2"):
        out = tmp_path / longest
        options = [*idle, "--linear-ngrams", longest, "--out", str(out)]
        assert main(["classifier", *files, *options]) == 0
        stderr = capfd.readouterr().err
        assert ("linear over runs of 1 to 2" in stderr) == (longest == "2")
        artifact = load_artifact(out)
        assert isinstance(artifact.network, Classifier)
        assert (artifact.network.linear is None) == (longest == "0")
        accuracies[longest] = artifact.manifest.metrics["test_accuracy"]
    assert accuracies["0"] < 0.7
    assert accuracies["2"] > 0.9


def test_time_before_the_first_step_is_no_part_of_the_schedule(tmp_path: Path) -> None:
    """A time budget counts from the command's begin, its progress from the first step."""
    file = tmp_path / "texts.csv"
    file.write_text("text,label\n" + "good film,a\nbad film,b\n" * 20)
    recipe = ClassifierRecipe(train=(str(file),), minutes=2.0, precision="float32")
    trainer = Trainer(untrained(recipe, tmp_path), time.monotonic() - 60.0)
    assert trainer.progress() < 0.1
    assert trainer.state.seconds > 60.0


def untrained(recipe: ClassifierRecipe, directory: Path) -> ClassifierTask:
    """The task of a run that begins."""
    return ClassifierTask.prepare(recipe, RunDirectory(directory / "m"), None, ProcessGroup())


def test_the_latest_evaluation_counts_that_is_as_good_as_the_best(tmp_path: Path) -> None:
    """Within one standard error of the best later weights are kept; worse ones end a run."""
    shares = {"blue": 42, "green": 13, "red": 45}
    rows = ["text,label", *(f"the word,{label}" for label in shares for _ in range(shares[label]))]
    file = tmp_path / "valid.csv"
    file.write_text("\n".join(rows))
    recipe = ClassifierRecipe(train=(str(file),), valid=(str(file),), patience=2, linear_ngrams=0)
    task = untrained(recipe, tmp_path)
    trainer = Trainer(task, time.monotonic())

    def kept_when_all_are(label: str) -> bool:
        """Whether weights are kept that answer the same to every text."""
        trainer.state.steps += 1
        with torch.no_grad():
            task.network.output.weight.zero_()
            task.network.output.bias.copy_(torch.tensor([float(label == name) for name in shares]))
        return trainer.evaluate(0.1).is_best

    answers = ["green", "red", "blue", "green", "blue", "green"]  # .13, .45, .42: red is the best
    assert [kept_when_all_are(label) for label in answers] == [True, True, True, False, True, False]
    assert not trainer.is_finished(0.5)
    assert not kept_when_all_are("green")
    assert trainer.is_finished(0.5)
    trainer.load_best_weights()
    assert (trainer.state.best_step, task.network.output.bias.tolist()) == (5, [1.0, 0.0, 0.0])


def test_the_seed_decides_the_run(files: list[str], tmp_path: Path) -> None:
    """The same seed gives the same bits, another one others."""
    for out, seed in (("a", "5"), ("b", "5"), ("c", "6")):
        options = ["--epochs", "2", "--seed", seed, "--out", str(tmp_path / out)]
        assert main(["classifier", *files, *options]) == 0
    assert same(tmp_path / "a", tmp_path / "b")
    assert not same(tmp_path / "a", tmp_path / "c")


def test_the_recipe_a_run_writes_repeats_it(files: list[str], tmp_path: Path) -> None:
    """The file contains the values that the run chose by itself."""
    assert main(["classifier", *files, "--epochs", "2", "--out", str(tmp_path / "a")]) == 0
    recipe = str(tmp_path / "a.run" / "recipe.toml")
    assert main(["classifier", "--recipe", recipe, "--out", str(tmp_path / "b")]) == 0
    assert same(tmp_path / "a", tmp_path / "b")


def test_a_killed_run_goes_on_bit_for_bit(files: list[str], tmp_path: Path) -> None:
    """A kill -9 between two checkpoints; --resume ends with the weights of the unbroken run."""
    options = [
        "classifier",
        *files,
        "--crop",
        "9",
        "--epochs",
        "10",
        "--evaluations",
        "2",
        "--patience",
        "0",
    ]
    assert main([*options, "--out", str(tmp_path / "whole")]) == 0
    broken = ["--out", str(tmp_path / "broken")]
    command = [sys.executable, "-m", "training", *options, "--checkpoint-seconds", "0.1", *broken]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        checkpoint = tmp_path / "broken.run" / "checkpoint.safetensors"
        saved = set[int]()
        while len(saved) < 2:  # the first is saved before the first step
            assert process.poll() is None
            if checkpoint.exists():
                saved.add(checkpoint.stat().st_mtime_ns)
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert load_checkpoint(checkpoint).values["state"]["steps"] > 0
    assert main(["classifier", "--resume", "--checkpoint-seconds", "30", *broken]) == 0
    assert same(tmp_path / "whole", tmp_path / "broken")


def test_a_time_budget_ends_a_run_that_epochs_do_not(files: list[str], tmp_path: Path) -> None:
    """The schedule runs over the minutes, and the best model is there at the end."""
    out = tmp_path / "timed"
    options = ["--minutes", "0.05", "--epochs", "100000", "--patience", "0", "--out", str(out)]
    assert main(["classifier", *files, *options]) == 0
    assert load_artifact(out).manifest.metrics["training_epochs"] < 100_000


def test_the_validation_split_is_reported(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without --valid a tenth of each label is held out for validation, which a note reports."""
    without = [*files[:2], *files[6:], "--epochs", "1", "--out", str(tmp_path / "out")]
    assert main(["classifier", *without]) == 0
    assert "no --valid: 10% of each label's examples held out" in capfd.readouterr().err
    metrics = load_artifact(tmp_path / "out").manifest.metrics
    assert metrics["validation_documents"] == 24
    assert "test_accuracy" not in metrics


def test_frozen_embeddings_stay(files: list[str], tmp_path: Path) -> None:
    """Vectors from a file are not moved by training when that is asked for."""
    vectors = tmp_path / "vectors.txt"
    vectors.write_text("".join(f"{word} {i} 1 0\n" for i, word in enumerate(TOPICS["food"])))
    kept = [o for o in files if o != "--embedding"]
    kept.remove("12")
    options = ["--vectors", str(vectors), "--freeze-embeddings", "--epochs", "2"]
    assert main(["classifier", *kept, *options, "--out", str(tmp_path / "out")]) == 0
    artifact = load_artifact(tmp_path / "out")
    assert isinstance(artifact.network, Classifier)
    (soup,) = artifact.tokenizer.encode("soup")
    assert artifact.network.embedding.weight[soup].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--train", "none.jsonl"], "none.jsonl: cannot be read: No such file"),
        (["--train", "one.jsonl"], "one.jsonl: all examples have the label"),
        (["--train", "empty.jsonl"], "empty.jsonl: holds no records"),
        (["--train", "broken.jsonl"], "broken.jsonl, line 2: not valid JSON"),
        (["--train", "damaged.jsonl"], "damaged.jsonl, line 1: not UTF-8"),
        (["--test", "other.jsonl"], "other.jsonl: has labels that no training example has"),
        (["--text-column", "body"], "no column 'body'; found: text, label"),
        (["--vocabulary", "100000"], "vocabulary of 100000: the data has words for"),
        (["--vectors", "none.txt"], "none.txt: cannot be read"),
        (["--dropout-word", "1"], "--dropout-word: expected less than 1"),
        (["--minutes", "-1"], "--minutes: expected more than 0"),
        (["--resume"], "no checkpoint to continue from"),
    ],
)
def test_bad_input_is_reported_in_one_line(
    files: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    options: list[str],
    expected: str,
) -> None:
    """Exit status 2, one line on standard error, nothing left behind."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "one.jsonl", [Example("x", "only"), Example("y", "only")])
    write(tmp_path / "other.jsonl", [Example("x", "unheard")])
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text('{"text": "x", "label": "y"}\n{"text"\n')
    (tmp_path / "damaged.jsonl").write_bytes(b'{"text": "1 \xe9", "label": "y"}\n')
    assert main(["classifier", *files, *options, "--out", "out"]) == 2
    (line,) = capfd.readouterr().err.strip().split("\n")
    assert line.startswith("error: ")
    assert expected in line
    assert not Path("out").exists()
    assert not Path("out.run").exists()


def test_a_resumed_run_keeps_its_options_and_data(
    files: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Other options or other data than the run was begun with are refused by name."""
    out = ["--out", str(tmp_path / "out")]
    assert main(["classifier", *files, "--epochs", "1", *out]) == 0
    assert main(["classifier", "--resume", "--seed", "9", *out]) == 2
    assert "--seed was 1, now 9" in capfd.readouterr().err
    write(Path(files[1]), made_up(60, 9))
    assert main(["classifier", "--resume", *out]) == 2
    assert "begun with other data" in capfd.readouterr().err
    assert main(["classifier", *files, "--epochs", "1", *out]) == 2
    assert "--overwrite" in capfd.readouterr().err


def test_metrics_by_hand() -> None:
    """Accuracy, macro F1 over the labels that occur, and confusions of six documents."""
    truth, answer = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2]
    predictions = Predictions(
        torch.nn.functional.one_hot(torch.tensor(answer), 4).float(), torch.tensor(truth)
    )
    assert predictions.accuracy == pytest.approx(4 / 6)
    assert predictions.macro_f1() == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert predictions.confusions(5) == [(0, 1, 1), (1, 0, 1)]
