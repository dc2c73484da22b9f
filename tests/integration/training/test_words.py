"""The commands words and describe on a trained model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.artifact import load_artifact
from tests.support.training.language_model_command import EXACT
from training.commands.cli import main

WORDS = ["dog", "cat", "king", "sees", "the", "and"]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word model that is hardly trained."""
    directory = tmp_path_factory.mktemp("words")
    (directory / "t.txt").write_text(f"{' '.join(WORDS)} .\n" * 40)
    options = ["--train", str(directory / "t.txt"), "--tokenizer", "word", "--hidden", "6"]
    options += ["--embedding", "6", *EXACT, "--steps", "2", "--out", str(directory / "model")]
    assert main(["lm", *options]) == 0
    return directory / "model"


def test_vectors_before_and_after_training_are_compared(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Random, given and trained vectors of the same words, as table, JSON and page."""
    vectors = tmp_path / "v.txt"
    vectors.write_text("dog 1 0 0\ncat 1 0.1 0\nking 0 0 1\n")
    out, figures = tmp_path / "out", tmp_path / "f.json"
    options = ["--random", "--vectors", str(vectors), "--compare", str(artifact)]
    options += ["--neighbors", "2", "--out", str(out), "--json", str(figures)]
    assert main(["words", str(artifact), "dog", "king", *options]) == 0
    sets = json.loads(figures.read_text())["vectors"]
    assert [one["name"] for one in sets] == ["random", "given", "model", "model-2"]
    assert sets[1]["words"][0]["vector"] == [1, 0, 0]
    assert sets[1]["words"][0]["neighbors"][0][0] == "cat"
    assert sets[2]["words"] == sets[3]["words"]
    assert {path.name for path in out.iterdir()} >= {"words.png", "words.svg", "index.html"}
    output = capsys.readouterr().out
    assert "nearest words" in output
    assert "cat 1.00" in output


def test_unknown_words_are_refused(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line names the word."""
    assert main(["words", str(artifact), "zebra"]) == 2
    assert "'zebra' is not a token of the model" in capsys.readouterr().err


def test_parameters_are_listed(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their total is that of the network, and does not depend on the length of the text."""
    figures = tmp_path / "f.json"
    assert main(["describe", str(artifact), "--json", str(figures)]) == 0
    total = sum(parameter.numel() for parameter in load_artifact(artifact).network.parameters())
    assert json.loads(figures.read_text())["parameters"] == total
    output = capsys.readouterr().out
    assert f"{total:,} parameters, whatever the length of the text" in output
    assert "W_h" in output
