"""A multi-label classifier from text files to /classify, with a real server of each kernel."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.artifact import load_artifact
from tests.support.service.process import RunningService
from tests.support.training.classifier_command import FILLER, TOPICS
from training.commands.cli import main
from unroll_client import Client

pytestmark = pytest.mark.slow

TEXTS = [
    "the ball and the goal so very bread and soup",
    "in the rain the match was a win",
    "so it was of the one",
    "snow and storm in the soup that we taste",
]


def write_rows(path: Path, count: int, seed: int) -> str:
    """Documents of two words of each of their topics, none to three, as JSON lines."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        labels = chance.sample(list(TOPICS), chance.choice([0, 1, 1, 2, 2, 3]))
        words = chance.choices(FILLER, k=chance.randint(2, 9))
        words += [word for label in labels for word in chance.sample(TOPICS[label], 2)]
        chance.shuffle(words)
        rows.append(json.dumps({"text": " ".join(words), "labels": labels}))
    path.write_text("\n".join(rows) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with test.jsonl and the artifact models/topics, trained for a few seconds."""
    folder = tmp_path_factory.mktemp("multi-label")
    files = []
    for seed, (split, count) in enumerate({"train": 240, "valid": 100, "test": 100}.items()):
        files += [f"--{split}", write_rows(folder / f"{split}.jsonl", count, seed)]
    size = [
        "--hidden",
        "8",
        "--embedding",
        "8",
        "--mlp",
        "8",
        "--batch",
        "16",
        "--epochs",
        "2",
        "--linear-buckets",
        "512",
    ]
    assert main(["classifier", *files, *size, "--out", str(folder / "models" / "topics")]) == 0
    return folder


@pytest.fixture(scope="module", params=["native", "torch"])
def float_service(trained: Path, request: pytest.FixtureRequest) -> Iterator[RunningService]:
    """A service of the artifact on either kernel in float32."""
    arguments = ("--kernel", request.param, "--precision", "float32")
    with RunningService(trained / "models", *arguments) as running:
        yield running


def test_the_run_is_recorded(trained: Path) -> None:
    """The artifact has a threshold for each label, and metrics of sets of labels."""
    manifest = load_artifact(trained / "models" / "topics").manifest
    assert manifest.labels == ("food", "sport", "weather")
    assert manifest.thresholds is not None
    assert len(manifest.thresholds) == 3
    assert manifest.format_version == 2
    assert manifest.metrics["test_micro_f1"] > 0.9
    assert {"test_macro_f1", "test_subset_accuracy", "validation_micro_f1"} <= set(manifest.metrics)
    recipe = manifest.provenance["recipe"]
    assert isinstance(recipe, dict)
    assert recipe["multi_label"] is True


def test_every_way_gives_the_same_labels(
    trained: Path, float_service: RunningService, tmp_path: Path
) -> None:
    """/classify on either kernel, the Python client and `predict` agree: each label at or above
    its threshold of GET /models is in `labels`, likeliest first, and no other.
    """
    (model,) = float_service.client.get("/models").json()["models"]
    assert model["multi_label"] is True
    results = float_service.ask("/classify", texts=TEXTS)["results"]
    for result in results:
        over = [
            s["label"] for s in result["scores"] if s["score"] >= model["thresholds"][s["label"]]
        ]
        assert result["labels"] == over
        assert result["scores"][0] == {"label": result["label"], "score": result["confidence"]}
    assert [set(result["labels"]) for result in results] == [
        {"sport", "food"},
        {"sport", "weather"},
        set(),
        {"weather", "food"},
    ]
    assert sum(score["score"] for score in results[0]["scores"]) > 1.5
    with Client(str(float_service.client.base_url)) as client:
        assert client.classify(TEXTS[0]).labels == results[0]["labels"]
    for row, result in zip(predicted(trained, tmp_path), results, strict=True):
        assert row["labels"] == result["labels"]
        assert row["confidence"] == pytest.approx(result["confidence"], abs=1e-5)


def predicted(trained: Path, folder: Path) -> list[dict[str, Any]]:
    """The rows of `predict` for the texts."""
    data, out = folder / "texts.txt", folder / "out.jsonl"
    data.write_text("\n".join(TEXTS) + "\n")
    files = ("--data", str(data), "--out", str(out), "--precision", "float32")
    assert main(["predict", str(trained / "models" / "topics"), *files, "--processes", "1"]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def test_top_and_explain_work_as_for_one_label(float_service: RunningService) -> None:
    """`top` bounds the scores and not the labels; contributions are of the likeliest label."""
    (result,) = float_service.ask("/classify", text=TEXTS[0], top=1, explain=True)["results"]
    assert len(result["scores"]) == 1
    assert len(result["labels"]) == 2
    best = max(result["contributions"], key=lambda part: part["contribution"])
    assert best["token"] in TEXTS[0].split()


def test_evaluate_reports_the_metrics_of_training(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The table, the JSON file and the page have what the manifest says of the test split."""
    artifact, json_file = trained / "models" / "topics", tmp_path / "metrics.json"
    data = str(trained / "test.jsonl")
    options = ["--json", str(json_file), "--out", str(tmp_path / "report")]
    assert main(["evaluate", str(artifact), "--data", data, *options]) == 0
    assert "subset accuracy" in capfd.readouterr().out
    metrics = json.loads(json_file.read_text())
    manifest = load_artifact(artifact).manifest
    for name in ("micro_f1", "macro_f1", "subset_accuracy", "loss"):
        assert metrics[name] == pytest.approx(manifest.metrics[f"test_{name}"], abs=1e-5)
    assert "threshold" in (tmp_path / "report" / "index.html").read_text()


@pytest.mark.parametrize(
    ("name", "content", "options", "fault"),
    [
        ("a.jsonl", '{"text": "x", "labels": ["food", "art"]}', [], "the label 'art' is none of"),
        ("a.csv", "text,labels\nx,food|sport\n", [], "between labels with --label-separator"),
        (
            "a.csv",
            "text,labels\nx,food\n",
            ["--label-separator", ""],
            "--label-separator: expected",
        ),
    ],
)
def test_bad_data_are_named(
    trained: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    name: str,
    content: str,
    options: list[str],
    fault: str,
) -> None:
    """`evaluate` names an unknown label, and a separator that is missing or empty."""
    (tmp_path / name).write_text(content)
    artifact = str(trained / "models" / "topics")
    assert main(["evaluate", artifact, "--data", str(tmp_path / name), *options]) == 2
    assert fault in capfd.readouterr().err
