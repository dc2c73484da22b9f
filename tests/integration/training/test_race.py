"""The command race."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.commands.cli import main


def test_a_race_is_shown_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, JSON, page and plots; a directory with other files is refused before the race."""
    out, figures = tmp_path / "out", tmp_path / "race.json"
    asked = ["race", "--distance", "3", "--cells", "elman,gru", "--hidden", "4"]
    asked += ["--steps", "4", "--every", "2", "--out", str(out), "--json", str(figures)]
    assert main(asked) == 0
    printed = capsys.readouterr()
    assert "distance  cell" in printed.out
    assert "distance 3  step      4" in printed.err
    results = json.loads(figures.read_text())
    assert [race["distance"] for race in results["races"]] == [3]
    steps = [one["step"] for one in results["races"][0]["racers"][1]["measurements"]]
    assert steps == [0, 2, 4]
    assert {path.stem for path in out.glob("*.svg")} >= {"race-3", "gradient-3"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    assert main([*asked[:-4], "--out", str(tmp_path / "other")]) == 2
