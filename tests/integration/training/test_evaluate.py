"""The evaluate command on artifacts of both kinds."""

import json
import re
from pathlib import Path

import pytest

from tests.support.training.synthetic_corpus import text
from training.commands.cli import main
from training.data.validation_split import split_documents


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained model."""
    directory = tmp_path_factory.mktemp("lm")
    (directory / "t.txt").write_text(text(200))
    options = ["--train", str(directory / "t.txt"), "--hidden", "12", "--embedding", "12"]
    exact = ["--steps", "400", "--precision", "float32", "--threads", "1"]
    assert main(["lm", *options, *exact, "--out", str(directory / "model")]) == 0
    return directory / "model"


def test_a_language_model_is_measured(
    language_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table and the JSON file have the same metrics."""
    data, figures = tmp_path / "data.txt", tmp_path / "figures.json"
    data.write_text(text(30, seed=5) + "Zebra!\n")
    options = ["--data", str(data), "--json", str(figures), "--lanes", "1"]
    assert main(["evaluate", str(language_model), *options]) == 0
    results = json.loads(figures.read_text())
    assert results["artifact"] == "model"
    assert 1 < results["perplexity"] < 8
    assert results["words"] == 30 * 6 + 1
    assert 0 < results["unknown_share"] < 0.02
    table = capsys.readouterr().out
    assert f"{results['perplexity']:.2f}" in table
    assert f"{results['bits_per_byte']:.4f}" in table


def test_the_metrics_of_a_run_are_those_of_evaluate(
    language_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Evaluating the held-out text gives the metrics of the manifest."""
    manifest = json.loads((language_model / "manifest.json").read_text())
    (_, held) = split_documents([text(200)], 0.05)
    (tmp_path / "held.txt").write_text(held[0])
    figures = tmp_path / "f.json"
    options = ["--data", str(tmp_path / "held.txt"), "--json", str(figures)]
    assert main(["evaluate", str(language_model), *options]) == 0
    results = json.loads(figures.read_text())
    assert results["tokens"] == manifest["metrics"]["validation_tokens"]
    assert results["loss"] == pytest.approx(manifest["metrics"]["validation_loss"], abs=1e-4)


def test_a_classifier_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Accuracy, macro F1 and calibration error are reported."""
    data, out, figures = tmp_path / "d.jsonl", tmp_path / "c", tmp_path / "f.json"
    rows = [{"text": f"the {w} {i}", "label": w} for i in range(40) for w in ("cat", "dog")]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--hidden", "8", "--embedding", "8", "--mlp", "8", "--epochs", "8"]
    assert main(["classifier", "--train", str(data), *options, "--out", str(out)]) == 0
    assert main(["evaluate", str(out), "--data", str(data), "--json", str(figures)]) == 0
    results = json.loads(figures.read_text())
    assert results["documents"] == 80
    assert results["accuracy"] == pytest.approx(results["macro_f1"], abs=0.1)
    assert "calibration error" in capsys.readouterr().out


def test_the_page_of_a_language_model(language_model: Path, tmp_path: Path) -> None:
    """The page has losses by frequency and position, and the training curves of the run."""
    data, out = tmp_path / "data.txt", tmp_path / "page"
    data.write_text(text(30, seed=5) + "Zebra!\n")
    options = ["--data", str(data), "--json", str(tmp_path / "f.json"), "--out", str(out)]
    assert main(["evaluate", str(language_model), *options]) == 0
    results = json.loads((out / "figures.json").read_text())
    short = json.loads((tmp_path / "f.json").read_text())
    assert short.items() <= results.items()
    for bins in (results["by_frequency"]["bins"], results["by_position"]):
        assert sum(part["tokens"] for part in bins) == results["tokens"]
        total = sum(part["tokens"] * part["loss"] for part in bins)
        assert total == pytest.approx(results["loss"] * results["tokens"])
    assert results["training_curves"]["validation"]["steps"][-1] == 400
    plots = {path.stem for path in out.glob("*.png")}
    assert plots == {"loss-by-frequency", "loss-by-position", "training-curves"}
    page = (out / "index.html").read_text()
    assert page.count('<img src="data:image/svg+xml;base64,') == 3
    assert "<script" not in page
    assert "://" not in page
    assert "bits per byte" in page
    assert "Groups of fewer than 5 predictions are in the table alone" in page


def labeled(path: Path, labels: int) -> str:
    """Writes documents whose first word determines the label, except for one in ten."""
    rows = [
        {"text": f"word{i % labels} <b>&{i}", "label": f"label{(i + (i % 10 == 0)) % labels}"}
        for i in range(max(60, 3 * labels))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("labels", [2, 30])
def test_the_page_of_a_classifier(tmp_path: Path, labels: int) -> None:
    """A matrix for two labels, pairs for many; reliability, and top errors by confidence."""
    data, out = labeled(tmp_path / "d.jsonl", labels), tmp_path / "page"
    model = str(tmp_path / "c")
    options = ["--hidden", "8", "--embedding", "8", "--mlp", "8", "--epochs", "4"]
    options += ["--linear-ngrams", "0"]  # which would know all by heart
    assert main(["classifier", "--train", data, *options, "--out", model]) == 0
    assert main(["evaluate", model, "--data", data, "--out", str(out)]) == 0
    results = json.loads((out / "figures.json").read_text())
    wrong = sum(confusion["documents"] for confusion in results["confusions"])
    assert wrong == round(results["documents"] * (1 - results["accuracy"])) > 0
    assert sum(score["documents"] for score in results["labels"]) == results["documents"]
    for name in ("reliability_before", "reliability"):
        assert sum(part["documents"] for part in results[name]) == results["documents"]
    confidences = [document["confidence"] for document in results["top_errors"]]
    assert len(confidences) == min(25, wrong)
    assert confidences == sorted(confidences, reverse=True)
    plots = {path.stem for path in out.glob("*.png")}
    assert plots == {"confusions", "reliability", "training-curves"}
    page = (out / "index.html").read_text()
    assert "&lt;b&gt;&amp;" in page
    assert "://" not in page
    assert ("a matrix would be illegible" in page) == (labels == 30)


def test_pairs_of_labels_are_not_crowded_out_by_out_of_scope(tmp_path: Path) -> None:
    """With many labels, the list of pairs excludes out of scope, which has its own sections."""
    data, model, out = tmp_path / "d.jsonl", str(tmp_path / "c"), tmp_path / "page"
    more = [{"text": f"other{i % 7} words {i}", "label": "<none>"} for i in range(40)]
    lines = "".join(json.dumps(row) + "\n" for row in more)
    data.write_text(Path(labeled(tmp_path / "l.jsonl", 30)).read_text() + lines)
    files = ["--train", str(data), "--valid", str(data), "--out-of-scope-label", "<none>"]
    options = ["--hidden", "16", "--embedding", "16", "--mlp", "16", "--epochs", "20"]
    options += ["--batch", "8", "--learning-rate", "0.01"]
    assert main(["classifier", *files, *options, "--out", model]) == 0
    wrong = [
        {"text": f"word{i} <b>&{i}", "label": label}
        for i in range(1, 9)
        for label in (f"label{i + 1}", "<none>")
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in wrong) + data.read_text())
    assert main(["evaluate", model, "--data", str(data), "--out", str(out)]) == 0
    results = json.loads((out / "figures.json").read_text())
    pairs = [{part["truth"], part["answer"]} for part in results["confusions"]]
    between = sum("<none>" not in pair for pair in pairs)
    assert 0 < between < len(pairs)
    page = (out / "index.html").read_text()
    assert f"{min(20, between)} most confused of {between} pairs of labels" in page
    assert "Errors about &lt;none&gt; have their own sections" in page
    (listed,) = re.findall(r'<section id="confusions">.*?</section>', page, re.DOTALL)
    assert "<td>&lt;none&gt;</td>" not in listed
    assert "<none>" not in page


def test_a_page_in_the_place_of_the_artifact_is_refused(
    language_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The directory is checked before any data is read."""
    options = ["--data", "none.txt", "--out", str(language_model)]
    assert main(["evaluate", str(language_model), *options]) == 2
    assert "--out names a directory of its own" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"\xff\xfe"])
def test_data_that_cannot_be_read_is_refused(
    language_model: Path, tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the file."""
    data = tmp_path / "data.txt"
    data.write_bytes(content)
    assert main(["evaluate", str(language_model), "--data", str(data)]) == 2
    assert "data.txt" in capsys.readouterr().err


def test_more_threads_than_a_machine_has_are_refused(
    language_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the option and its maximum."""
    options = ["--data", "x.txt", "--threads", "99999999999"]
    assert main(["evaluate", str(language_model), *options]) == 2
    message = capsys.readouterr().err
    assert message == "error: --threads: expected at most 1024, got 99999999999\n"


def test_a_directory_without_a_manifest_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the missing manifest."""
    assert main(["evaluate", str(tmp_path), "--data", "x.txt"]) == 2
    assert "manifest.json: missing" in capsys.readouterr().err
