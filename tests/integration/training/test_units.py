"""The command units on a trained model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.training.language_model_command import EXACT
from tests.support.training.synthetic_corpus import text
from training.commands.cli import main


def test_units_are_searched_and_plates_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Table, JSON, page and plates; a text that is too short is refused."""
    (tmp_path / "t.txt").write_text(text(100))
    options = ["--train", str(tmp_path / "t.txt"), "--tokenizer", "char", "--hidden", "6"]
    options += ["--embedding", "6", *EXACT, "--steps", "3", "--out", str(tmp_path / "model")]
    assert main(["lm", *options]) == 0
    out, figures = tmp_path / "out", tmp_path / "f.json"
    asked = ["--data", str(tmp_path / "t.txt"), "--threshold", "0.01", "--plates", "1"]
    asked += ["--characters", "900", "--out", str(out), "--json", str(figures)]
    assert main(["units", str(tmp_path / "model"), *asked]) == 0
    results = json.loads(figures.read_text())
    assert results["units"] == 12
    assert results["best"][0]["marking"] not in results["missing"]
    assert len(list(out.glob("plate-*.svg"))) == 1
    assert "units follow none of these" in capsys.readouterr().out
    (tmp_path / "short.txt").write_text("short\n")
    assert main(["units", str(tmp_path / "model"), "--data", str(tmp_path / "short.txt")]) == 2
    assert "give at least 128" in capsys.readouterr().err
