"""How messages name many things, and the one that was meant."""

import json
from pathlib import Path

import pytest

from tests.support.training.language_model_command import assert_one_line
from training.commands.cli import main
from training.errors import format_list, suggest


def test_of_many_names_the_rest_is_counted() -> None:
    """Nobody takes the first ones for all."""
    names = [f"n{i}" for i in range(150)]
    assert format_list(names).endswith("n9 and 140 more")
    assert format_list(names[:10]) == ", ".join(names[:10])


def test_the_nearest_name_is_suggested() -> None:
    """Whatever its case; nothing where nothing is near."""
    assert suggest("Postive", ["negative", "positive"]) == " (did you mean 'positive'?)"
    assert suggest("SPORT", ["sport"]) == " (did you mean 'sport'?)"
    assert suggest("xyz", ["positive"]) == ""


def test_a_foreign_label_is_found_by_its_example(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The message has file, number, label, the nearest label and the number of labels not shown."""
    rows = [{"text": f"say {i} now", "label": f"label {i % 30:02}"} for i in range(120)]
    data, other, out = tmp_path / "d.jsonl", tmp_path / "o.jsonl", tmp_path / "m"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    small = ["--hidden", "4", "--embedding", "4", "--mlp", "4", "--linear-ngrams", "0"]
    options = ["--train", str(data), *small, "--epochs", "0.1", "--out", str(out)]
    assert main(["classifier", *options]) == 0
    wrong = [rows[0], {"text": "x", "label": "lable 07"}, {"text": "y", "label": "z"}]
    other.write_text("".join(json.dumps(row) + "\n" for row in wrong))
    capfd.readouterr()
    assert main(["evaluate", str(out), "--data", str(data), str(other)]) == 2
    stderr = capfd.readouterr().err
    assert_one_line(stderr, f"{other}, example 2: the label 'lable 07' is none of the model's")
    assert "(nor is 1 other label): label 00, " in stderr
    assert "and 20 more (did you mean 'label 07'?); choose" in stderr
