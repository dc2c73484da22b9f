"""The table of quality: each recipe trained once for a seed, told with mean and spread."""

import json
from pathlib import Path

import pytest

from benchmarks.commands.quality import table_rows
from benchmarks.measurements import quality
from benchmarks.measurements.quality import ROWS, Measured, Row, finished, measure_row, metric

RECIPE = """
train = ["{texts}"]
test = ["{texts}"]
hidden = 4
embedding = 4
epochs = 1.0
precision = "float32"
threads = 1
"""


def row(wanted: float = 0.5) -> Row:
    """A row of a classifier."""
    return Row("two topics", "classifier", "topics", metric("test_accuracy"), wanted)


def test_every_recipe_of_the_table_is_there() -> None:
    """Files and rows agree, and no row is told twice."""
    assert all((quality.RECIPES / f"{one.recipe}.toml").exists() for one in ROWS)
    assert len({one.what for one in ROWS}) == len(ROWS)


def test_what_is_finished_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time the same artifact is measured; of another recipe it is made anew."""
    texts = tmp_path / "texts.jsonl"
    records = [{"text": f"{topic} {n}", "label": topic} for n in range(20) for topic in ("a", "b")]
    texts.write_text("".join(json.dumps(record) + "\n" for record in records))
    (tmp_path / "topics.toml").write_text(RECIPE.format(texts=texts))
    monkeypatch.setattr(quality, "RECIPES", tmp_path)
    found = measure_row(row(), 3, tmp_path)
    manifest = tmp_path / "topics-3" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    assert 0.0 <= found.figure <= 1.0
    assert json.loads(manifest.read_text())["provenance"]["seed"] == 3
    assert measure_row(row(), 3, tmp_path) == found
    assert manifest.stat().st_mtime_ns == written
    mark = finished(tmp_path / "topics-3")
    mark.write_text("another recipe")
    assert measure_row(row(), 3, tmp_path).figure == found.figure
    assert manifest.stat().st_mtime_ns > written


def test_a_recipe_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that failed."""
    monkeypatch.setattr(quality, "RECIPES", tmp_path)
    (tmp_path / "topics.toml").write_text("no such option = 1")
    with pytest.raises(SystemExit, match="training classifier ended with code 2"):
        measure_row(row(), 1, tmp_path)


def test_a_row_tells_mean_and_spread() -> None:
    """Over the seeds that were measured; rows without any are left out."""
    runs = [Measured("two topics", seed, 0.7 + seed / 10, 2.0) for seed in (1, 2)]
    told = ["two topics", "topics.toml", "at least 0.9", "0.8500", "0.0707", "0.8000 0.9000", "2.0"]
    assert table_rows([row(0.9), ROWS[0]], runs) == [told]
