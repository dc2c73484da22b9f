"""The command export: its files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from training.commands.cli import main

MODEL = str(ROOT / "pretrained" / "shakespeare-char")
onnx = pytest.importorskip("onnx")


def test_files_are_written_and_not_replaced_unasked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file names its model; a second run is refused without --overwrite."""
    file = tmp_path / "new" / "model.onnx"
    command = ["export", MODEL, "--onnx", str(file)]
    assert main(command) == 0
    properties = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    description = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    assert properties.items() <= description.items()
    assert main(command) == 2
    assert "exists; choose another --onnx or give --overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert sorted(path.name for path in file.parent.iterdir()) == ["model.json", "model.onnx"]


def test_classifiers_and_other_names_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the fault, and no file is left."""
    file = str(tmp_path / "model.onnx")
    assert main(["export", str(ROOT / "pretrained" / "sentiment"), "--onnx", file]) == 2
    assert "is a classifier; export writes language models only" in capsys.readouterr().err
    assert main(["export", MODEL, "--onnx", str(tmp_path / "model.bin")]) == 2
    assert "expected a name that ends in .onnx" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without onnx the command says what to install."""
    monkeypatch.setattr("training.commands.export.find_spec", lambda _: None)
    assert main(["export", MODEL, "--onnx", str(tmp_path / "model.onnx")]) == 2
    assert "pip install onnx" in capsys.readouterr().err
