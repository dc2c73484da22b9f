"""lm --from: a run begins with the weights and the tokenizer of another model, or is refused."""

from pathlib import Path

import pytest
import torch

from model.artifact import load_artifact
from tests.support.training.classifier_command import made_up
from training.commands.cli import main

FAST = ["--batch", "4", "--bptt", "12", "--precision", "float32", "--unit", "line"]


def text_file(path: Path, seed: int) -> str:
    """A file of sentences of the made-up corpus."""
    path.write_text("\n".join(example.text for example in made_up(60, seed)) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a GRU language model of one layer with a projection."""
    folder = tmp_path_factory.mktemp("trained")
    size = ["--cell", "gru", "--layers", "1", "--hidden", "12", "--embedding", "10"]
    train = ["--train", text_file(folder / "text.txt", 4), *FAST, "--epochs", "1", *size]
    assert main(["lm", *train, "--tokenizer", "word", "--out", str(folder / "lm")]) == 0
    return folder / "lm"


def test_a_run_begins_with_the_weights_and_tokenizer(trained: Path, tmp_path: Path) -> None:
    """After one step of a rate that moves nothing, weights, architecture and tokenizer are those
    of the model named, whatever the new text; the manifest names the file of weights.
    """
    train = ["--train", text_file(tmp_path / "new.txt", 9), *FAST, "--steps", "1"]
    options = ["--from", str(trained), "--learning-rate", "1e-30", "--weight-decay", "0"]
    assert main(["lm", *train, *options, "--out", str(tmp_path / "tuned")]) == 0
    before, after = load_artifact(trained), load_artifact(tmp_path / "tuned")
    assert after.manifest.architecture == before.manifest.architecture
    assert after.tokenizer.to_json() == before.tokenizer.to_json()
    for name, weight in before.network.state_dict().items():
        assert torch.equal(after.network.state_dict()[name], weight), name
    source = after.manifest.provenance["data"]
    assert isinstance(source, dict)
    assert [file["name"] for file in source["from"]] == ["weights.safetensors"]


def test_training_goes_on_where_the_model_stood(trained: Path, tmp_path: Path) -> None:
    """A short run from a model ends at a lower validation loss than the same run from nothing."""
    text = text_file(tmp_path / "new.txt", 4)
    size = ["--cell", "gru", "--layers", "1", "--hidden", "12", "--embedding", "10"]
    run = ["lm", "--train", text, *FAST, "--steps", "4", "--learning-rate", "0.001"]
    assert main([*run, "--from", str(trained), "--out", str(tmp_path / "tuned")]) == 0
    assert main([*run, "--tokenizer", "word", *size, "--out", str(tmp_path / "new")]) == 0
    tuned, new = (
        load_artifact(tmp_path / name).manifest.metrics["validation_loss"]
        for name in ("tuned", "new")
    )
    assert tuned < new


def test_a_stopped_run_is_resumed_without_the_model(trained: Path, tmp_path: Path) -> None:
    """--resume needs only the checkpoint, also when the model named has gone."""
    model = tmp_path / "model"
    trained.rename(model)
    try:
        train = ["--train", text_file(tmp_path / "new.txt", 9), *FAST, "--steps", "2"]
        command = ["lm", *train, "--from", str(model), "--out", str(tmp_path / "tuned")]
        assert main(command) == 0
    finally:
        model.rename(trained)
    assert main([*command, "--resume"]) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--hidden", "14"], "--hidden 14: {model} has hidden 12; leave it out"),
        (["--cell", "lstm"], "--cell lstm: {model} has cell gru; leave it out"),
        (["--tokenizer", "char"], "--tokenizer char: {model} has tokenizer word; leave it out"),
        (["--vocabulary", "90"], "--vocabulary: {model} gives the vocabulary; leave it out"),
        (["--softmax", "adaptive"], "--softmax adaptive: {model} has no adaptive softmax"),
    ],
)
def test_another_architecture_is_refused(
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    """An option that the model contradicts is named, with the model's own value."""
    train = ["--train", text_file(tmp_path / "new.txt", 9), *FAST, "--steps", "1"]
    command = ["lm", *train, "--from", str(trained), *options, "--out", str(tmp_path / "tuned")]
    assert main(command) == 2
    assert message.format(model=trained) in capsys.readouterr().err


def test_a_folder_without_a_model_is_refused(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file that is missing."""
    train = ["--train", text_file(tmp_path / "new.txt", 9), *FAST, "--steps", "1"]
    assert main(["lm", *train, "--from", str(tmp_path), "--out", str(tmp_path / "tuned")]) == 2
    assert str(tmp_path) in capsys.readouterr().err
