"""Texts out of scope: training on them, their detection, its scores, and refused input."""

import json
import math
from pathlib import Path

import pytest
import torch

from model.artifact import load_artifact
from model.calibration import Calibration, log_probabilities
from tests.support.training.classifier_command import FILLER, made_up, write
from training.commands.cli import main
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.evaluation.classifier import Predictions
from training.evaluation.out_of_scope import fit_out_of_scope, out_of_scope_score
from training.optimization.losses import label_loss
from training.readers.examples import Example

pytestmark = pytest.mark.slow

SMALL = ["--hidden", "16", "--embedding", "16", "--mlp", "16", "--batch", "8"]
OUTSIDE_WORDS = ["law", "tax", "vote", "judge", "court", "party"]


def outside(count: int, seed: int) -> list[Example]:
    """Documents of a topic that is no label."""
    rows = made_up(count, seed)
    words = [(FILLER * 2)[i % 20 : i % 20 + 4] + [OUTSIDE_WORDS[i % 6]] * 2 for i in range(count)]
    return [Example(" ".join(w), "none") for w, _ in zip(words, rows, strict=True)]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Options with three splits, each with texts out of scope."""
    named = []
    for seed, (split, count) in enumerate({"train": 240, "valid": 60, "test": 60}.items()):
        rows = made_up(count, seed) + outside(count // 4, seed)
        named += [f"--{split}", write(tmp_path / f"{split}.jsonl", rows)]
    return [*named, *SMALL, "--out-of-scope-label", "none"]


def test_a_run_learns_what_is_out_of_scope(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Out of scope is an answer and no label; manifest and `evaluate` have its metrics."""
    out = tmp_path / "topics"
    options = ["--epochs", "12", "--learning-rate", "0.005", "--storage", "float16"]
    options += ["--out", str(out)]
    assert main(["classifier", *files, *options]) == 0
    manifest = load_artifact(out).manifest
    assert manifest.labels == ("food", "sport", "weather")
    assert manifest.answers == (*manifest.labels, "none")
    # Without detection the area would be 0.5.
    assert manifest.metrics["validation_out_of_scope_auroc"] > 0.8
    assert manifest.metrics["test_documents"] == 60
    assert manifest.metrics["test_out_of_scope_documents"] == 15
    figures = tmp_path / "figures.json"
    page = tmp_path / "page"
    data = ["--data", files[5], "--json", str(figures), "--out", str(page)]
    assert main(["evaluate", str(out), *data]) == 0
    metrics = json.loads(figures.read_text())
    for name in ("auroc", "recall", "precision", "false_accept", "false_reject"):
        expected = manifest.metrics[f"test_out_of_scope_{name}"]
        assert metrics[f"out_of_scope_{name}"] == pytest.approx(expected, abs=1e-6)
    html = (page / "index.html").read_text()
    assert "were answered none" in html
    assert 'id="false-accepts"' in html
    assert 'id="false-rejects"' in html
    details = json.loads((page / "figures.json").read_text())
    assert "none" in {score["label"] for score in details["labels"]}
    assert (page / "out-of-scope.png").exists()
    results = details["out_of_scope"]
    first, last = results["threshold_curve"][0], results["threshold_curve"][-1]
    assert (first["false_accept"], first["false_reject"]) == (0, 1)
    assert (last["false_accept"], last["false_reject"]) == (1, 0)
    assert 0 < min(results["lowest_refused"], results["highest_accepted"]) < 1


def test_evaluate_takes_texts_of_one_kind(files: list[str], tmp_path: Path) -> None:
    """Texts of one kind alone are evaluated without the metrics that compare both kinds."""
    out = str(tmp_path / "topics")
    assert main(["classifier", *files, "--epochs", "1", "--out", out]) == 0
    for name, rows in (("in", made_up(9, 1)), ("out", outside(9, 1))):
        data, figures = write(tmp_path / f"{name}.jsonl", rows), tmp_path / f"{name}.json"
        page = tmp_path / f"{name}-page"
        options = ["--data", data, "--json", str(figures), "--out", str(page)]
        assert main(["evaluate", out, *options]) == 0
        metrics = json.loads(figures.read_text())
        assert 0 <= metrics["accuracy"] <= 1
        assert "out_of_scope_auroc" not in metrics
        assert not (page / "out-of-scope.png").exists()
        assert "false accept" not in (page / "index.html").read_text()


def test_the_page_shows_the_top_errors_of_both_kinds(files: list[str], tmp_path: Path) -> None:
    """Both lists have the mislabeled texts, escaped, by descending confidence."""
    out, page = str(tmp_path / "topics"), tmp_path / "page"
    assert (
        main(["classifier", *files, "--epochs", "12", "--learning-rate", "0.005", "--out", out])
        == 0
    )
    in_scope, out_of_scope = made_up(40, 5), outside(40, 5)
    rows = [Example(f"{row.text} <i>", "none") for row in in_scope[:9]]  # words of a label
    rows += [Example(f"{row.text} <u>", "food") for row in out_of_scope[:9]]
    data = write(tmp_path / "d.jsonl", in_scope[9:] + out_of_scope[9:] + rows)
    assert main(["evaluate", out, "--data", data, "--out", str(page)]) == 0
    results = json.loads((page / "figures.json").read_text())["out_of_scope"]
    html = (page / "index.html").read_text()
    for kind, mark, truths in (
        ("false_accepts", "<i>", {"none"}),
        ("false_rejects", "<u>", {"food"}),
    ):
        errors = results[kind]
        assert 0 < len(errors) <= 15
        assert truths & {document["truth"] for document in errors}
        for document in errors:
            assert (document["truth"] == "none") != (document["answer"] == "none")
        confidences = [document["confidence"] for document in errors]
        assert confidences == sorted(confidences, reverse=True)
        assert any(mark in document["text"] for document in errors)
        assert mark not in html
    assert "&lt;i&gt;" in html
    assert "&lt;u&gt;" in html


@pytest.mark.parametrize(
    ("split", "rows", "message"),
    [
        ("valid", made_up(30, 1), "no example to validate on has the label 'none'"),
        ("valid", outside(30, 1), "all examples have the label 'none'"),
        ("test", outside(30, 1), "all examples have the label 'none'"),
        ("train", outside(30, 1) + made_up(1, 1), "all examples have the label 'sport'"),
    ],
)
def test_splits_without_texts_of_both_kinds_are_refused(
    files: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    split: str,
    rows: list[Example],
    message: str,
) -> None:
    """The message names the file and the label."""
    write(tmp_path / f"{split}.jsonl", rows)
    assert main(["classifier", *files, "--out", str(tmp_path / "out")]) == 2
    error = capfd.readouterr().err
    assert f"{split}.jsonl" in error
    assert message in error


def test_the_loss_of_texts_out_of_scope_is_that_of_a_uniform_target() -> None:
    """The others have cross-entropy; both are worked out by hand."""
    logits_BC = torch.tensor([[2.0, 0.0], [1.0, 3.0]])
    inside = math.log(1 + math.exp(-2))
    outside = math.log(1 + math.exp(-2)) + 1.0  # halfway between -log p of the two labels
    both = label_loss(logits_BC, torch.tensor([0, OUT_OF_SCOPE_INDEX]), 0.0)
    assert float(both) == pytest.approx((inside + outside) / 2)
    assert float(label_loss(logits_BC, torch.tensor([0, 1]), 0.0)) == pytest.approx(inside)


@pytest.mark.parametrize("share", [None, 0.5])
def test_the_fitted_probabilities_have_the_given_mean(share: float | None) -> None:
    """The mean probability of out of scope is its share, measured or given."""
    torch.manual_seed(1)
    logits_BC = torch.randn(4000, 3)
    logits_BC[1000:, 0] += 3.0
    labels_B = torch.zeros(4000, dtype=torch.long)
    labels_B[:1000] = OUT_OF_SCOPE_INDEX
    out_of_scope = fit_out_of_scope(logits_BC, labels_B, label="none", share=share)
    assert out_of_scope.weight > 0
    outside_B = torch.from_numpy(
        log_probabilities(logits_BC.numpy(), Calibration(1, out_of_scope))
    ).exp()
    means = outside_B[:1000, 3].mean(), outside_B[1000:, 3].mean()
    mixed = share if share is not None else 0.25
    expected = mixed * means[0] + (1 - mixed) * means[1]
    assert float(expected) == pytest.approx(mixed, abs=0.01)


def test_scores_by_hand() -> None:
    """One of two texts out of scope is detected; one of three in scope is rejected, one wrong."""
    labels_B = torch.tensor([OUT_OF_SCOPE_INDEX, OUT_OF_SCOPE_INDEX, 0, 1, 1])
    answers_B = torch.tensor([OUT_OF_SCOPE_INDEX, 0, 0, OUT_OF_SCOPE_INDEX, 0])
    sure = torch.tensor([0.0, 2.0, 3.0, 1.0, 2.0])
    logits_BC = torch.stack([sure, torch.zeros(5)], dim=1)
    score = out_of_scope_score(logits_BC, answers_B, labels_B)
    assert score.recall == score.precision == score.false_accept == 0.5
    assert score.false_reject == score.in_scope_accuracy == pytest.approx(1 / 3)
    # Of the six pairs, four are in the right order and one is a tie.
    assert score.auroc == pytest.approx(4.5 / 6)
    assert Predictions(logits_BC, labels_B).in_scope.labels_B.tolist() == [0, 1, 1]
