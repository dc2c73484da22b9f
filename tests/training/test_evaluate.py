"""The evaluate command on real artifacts of both kinds."""

import json
from pathlib import Path

import pytest

from tests.training.made_up_text import text
from training.commands import main
from training.corpus import hold_out


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model."""
    directory = tmp_path_factory.mktemp("lm")
    (directory / "t.txt").write_text(text(200))
    options = ["--train", str(directory / "t.txt"), "--hidden", "12", "--embedding", "12"]
    exact = ["--steps", "200", "--precision", "float32", "--threads", "1"]
    assert main(["lm", *options, *exact, "--out", str(directory / "model")]) == 0
    return directory / "model"


def test_a_language_model_is_measured(
    language_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table for people, JSON for programs, with the same figures."""
    data, figures = tmp_path / "data.txt", tmp_path / "figures.json"
    data.write_text(text(30, seed=5) + "Zebra!\n")
    options = ["--data", str(data), "--json", str(figures), "--lanes", "1"]
    assert main(["evaluate", str(language_model), *options]) == 0
    found = json.loads(figures.read_text())
    assert found["artifact"] == "model"
    assert 1 < found["perplexity"] < 8
    assert found["words"] == 30 * 6 + 1
    assert 0 < found["unknown_share"] < 0.02
    table = capsys.readouterr().out
    assert f"{found['perplexity']:.2f}" in table
    assert f"{found['bits_per_byte']:.4f}" in table


def test_the_metrics_of_a_run_are_those_of_evaluate(
    language_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the manifest says of the held-out text can be measured again."""
    manifest = json.loads((language_model / "manifest.json").read_text())
    (_, held) = hold_out([text(200)], 0.05)
    (tmp_path / "held.txt").write_text(held[0])
    figures = tmp_path / "f.json"
    options = ["--data", str(tmp_path / "held.txt"), "--json", str(figures)]
    assert main(["evaluate", str(language_model), *options]) == 0
    found = json.loads(figures.read_text())
    assert found["tokens"] == manifest["metrics"]["validation_tokens"]
    assert found["loss"] == pytest.approx(manifest["metrics"]["validation_loss"], abs=1e-4)


def test_a_classifier_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accuracy, macro F1, calibration."""
    data, out, figures = tmp_path / "d.jsonl", tmp_path / "c", tmp_path / "f.json"
    rows = [{"text": f"the {w} {i}", "label": w} for i in range(40) for w in ("cat", "dog")]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--hidden", "8", "--embedding", "8", "--mlp", "8", "--epochs", "8"]
    assert main(["classifier", "--train", str(data), *options, "--out", str(out)]) == 0
    assert main(["evaluate", str(out), "--data", str(data), "--json", str(figures)]) == 0
    found = json.loads(figures.read_text())
    assert found["documents"] == 80
    assert found["accuracy"] == pytest.approx(found["macro_f1"], abs=0.1)
    assert "calibration error" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_data_that_cannot_be_read_is_refused(
    language_model: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name."""
    data = tmp_path / "data.txt"
    data.write_bytes(content)
    assert main(["evaluate", str(language_model), "--data", str(data)]) == 2
    assert "data.txt" in capsys.readouterr().err


def test_what_is_no_artifact_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name."""
    assert main(["evaluate", str(tmp_path), "--data", "x.txt"]) == 2
    assert "manifest.json: missing" in capsys.readouterr().err
