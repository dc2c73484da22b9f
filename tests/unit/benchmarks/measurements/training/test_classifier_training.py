"""The comparison of classifiers: input, metrics and table."""

import json
from pathlib import Path

import pytest

from benchmarks.commands.training.train_classifiers import table_rows
from benchmarks.measurements.training.classifier_training import (
    PEERS,
    UNROLL_NAME,
    ClassifierPlan,
    TrainedClassifier,
    accuracy_and_macro_f1,
    compare_classifiers,
)
from benchmarks.peers.labeled_texts import read_texts


def write(path: Path, count: int) -> Path:
    """Writes texts of two topics as JSON lines."""
    topics = {"ice": "cold snow", "sun": "warm light"}
    records = [
        {"text": f"{words} {index} {words}", "label": label}
        for index in range(count // 2)
        for label, words in topics.items()
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_accuracy_and_macro_f1() -> None:
    """Two of four answers are right; a label that never occurs has an F1 of 0."""
    accuracy, macro_f1 = accuracy_and_macro_f1(["a", "a", "b", "b"], ["a", "b", "b", "c"])
    assert accuracy == 0.5
    assert macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_texts_are_split_at_line_feeds_alone(tmp_path: Path) -> None:
    """A text may contain other line separators, and a label may be a number."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "a\x85b", "label": 1}\n{"text": "c", "label": "d"}\n')
    assert read_texts([file]) == (["a\x85b", "c"], ["1", "d"])


def test_a_row_is_the_mean_over_seeds() -> None:
    """The table has one row for each classifier, in the order of the runs."""
    runs = [
        TrainedClassifier(
            name, seed, accuracy=0.5 + seed / 10, macro_f1=0.5, seconds=2, cpu_seconds=3
        )
        for seed in (1, 2)
        for name in ("x", "y")
    ]
    expected = ["0.6500", "0.600 0.700", "0.5000", "2", "3"]
    assert table_rows(runs) == [["x", *expected], ["y", *expected]]


def test_all_are_trained_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer and `python -m training classifier` are trained on the same small files."""
    pytest.importorskip("sklearn", reason="the extra `bench` is not installed")
    monkeypatch.delitem(PEERS, "fastText, autotuned")  # exceeds the shortest time limits
    splits = {split: [write(tmp_path / f"{split}.jsonl", 40)] for split in ("train", "valid")}
    small = ["--hidden", "8", "--embedding", "8", "--mlp", "8", "--epochs", "2"]
    plan = ClassifierPlan(
        **splits,
        test=splits["valid"],
        minutes=0.05,
        threads=1,
        seeds=[1],
        options=small,
        out=tmp_path,
    )
    runs = {run.classifier: run for run in compare_classifiers(plan)}
    assert set(runs) == {*PEERS, UNROLL_NAME}
    assert runs["TF-IDF and linear SVM"].accuracy == 1.0  # the topics share no word
    assert all(run.cpu_seconds > 0 and 0 <= run.accuracy <= 1 for run in runs.values())
