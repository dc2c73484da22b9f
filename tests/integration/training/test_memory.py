"""The command memory on trained models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.training.language_model_command import EXACT
from tests.support.training.synthetic_corpus import text
from training.commands.cli import main


def test_half_lives_of_two_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, JSON and page by layer, unit and model; missing and equal texts are refused."""
    data = tmp_path / "t.txt"
    data.write_text(text(60))
    for cell in ("elman", "gru"):
        options = ["--train", str(data), "--cell", cell, "--hidden", "4", "--embedding", "4"]
        assert main(["lm", *options, *EXACT, "--steps", "2", "--out", str(tmp_path / cell)]) == 0
    figures, out = tmp_path / "f.json", tmp_path / "out"
    asked = ["memory", str(tmp_path / "elman"), "--compare", str(tmp_path / "gru")]
    sized = ["--data", str(data), "--places", "4", "--before", "2", "--length", "3"]
    assert main([*asked, *sized, "--json", str(figures), "--out", str(out)]) == 0
    models = json.loads(figures.read_text())["models"]
    assert [model["cell"] for model in models] == ["elman", "gru"]
    assert list(models[0]["half_lives"])[-1] == "prediction"
    assert models[0]["pairs"] == 4
    assert {path.stem for path in out.glob("*.svg")} == {"memory", "units-1", "units-2"}
    capsys.readouterr()
    assert main([*asked, "--first", "a"]) == 2
    assert "--second: expected a text" in capsys.readouterr().err
    assert main([*asked, "--first", "a", "--second", "a", "--then", "b"]) == 2
    assert "reads both texts as the same tokens" in capsys.readouterr().err
