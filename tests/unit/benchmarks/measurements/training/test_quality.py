"""Quality of the recipes: each is trained once for each seed; the table has mean and deviation."""

import json
from pathlib import Path

import pytest

from benchmarks.commands.training.quality import table_rows
from benchmarks.measurements.training import quality
from benchmarks.measurements.training.quality import (
    TARGETS,
    QualityRun,
    QualityTarget,
    finished_marker,
    measure_target,
    metric,
)

RECIPE = """
train = ["{texts}"]
test = ["{texts}"]
hidden = 4
embedding = 4
epochs = 1.0
precision = "float32"
threads = 1
"""


def target(value: float = 0.5) -> QualityTarget:
    """A target of a classifier."""
    return QualityTarget("two topics", "classifier", "topics", metric("test_accuracy"), value)


def test_every_recipe_of_the_table_is_there() -> None:
    """Every target has a recipe file and a name of its own."""
    assert all((quality.RECIPES / f"{item.recipe}.toml").exists() for item in TARGETS)
    assert len({item.name for item in TARGETS}) == len(TARGETS)


@pytest.mark.slow
def test_finished_models_are_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished artifact is measured again without training, unless its recipe has changed."""
    texts = tmp_path / "texts.jsonl"
    records = [{"text": f"{topic} {n}", "label": topic} for n in range(20) for topic in ("a", "b")]
    texts.write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "topics.toml").write_text(RECIPE.format(texts=texts))
    monkeypatch.setattr(quality, "RECIPES", tmp_path)
    run = measure_target(target(), 3, tmp_path)
    manifest = tmp_path / "topics-3" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    assert 0.0 <= run.figure <= 1.0
    assert json.loads(manifest.read_text())["provenance"]["seed"] == 3
    assert measure_target(target(), 3, tmp_path) == run
    assert manifest.stat().st_mtime_ns == written
    finished_marker(tmp_path / "topics-3").write_text("another recipe")
    assert measure_target(target(), 3, tmp_path).figure == run.figure
    assert manifest.stat().st_mtime_ns > written


def test_a_recipe_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the command that failed."""
    monkeypatch.setattr(quality, "RECIPES", tmp_path)
    (tmp_path / "topics.toml").write_text("no such option = 1")
    with pytest.raises(SystemExit, match="training classifier ended with code 2"):
        measure_target(target(), 1, tmp_path)


def test_a_row_has_mean_and_standard_deviation() -> None:
    """The statistics are over the measured seeds; targets without a run have no row."""
    runs = [QualityRun("two topics", seed, 0.7 + seed / 10, 2.0) for seed in (1, 2)]
    row = ["two topics", "topics.toml", "at least 0.9", "0.8500", "0.0707", "0.8000 0.9000", "2.0"]
    assert table_rows([target(0.9), TARGETS[0]], runs) == [row]
