"""The command ``predict``: its results are those of the service."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.service.process import RunningService
from training.commands.cli import main

TEXTS = ["a dog near the cats", "", "rivers and hills", "the old cabinet " * 300, "the keys"]


def predict(models: Path, name: str, data: Path, out: Path, *options: str) -> list[dict[str, Any]]:
    """The rows of a prediction that must succeed."""
    files = ("--data", str(data), "--out", str(out))
    assert main(["predict", str(models / name), *files, *options, "--processes", "1"]) == 0
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A file with a text in each line."""
    path = tmp_path / "texts.txt"
    path.write_text("".join(text + "\n" for text in TEXTS), encoding="utf-8")
    return path


def test_labels_are_those_of_the_service(
    models: Path, service: RunningService, lines: Path, tmp_path: Path
) -> None:
    """Each line has the label and the confidence of /classify; a blank one has an error."""
    rows = predict(models, "topics", lines, tmp_path / "out.jsonl", "--top", "2")
    assert rows.pop(1) == {"error": "the text is empty"}
    texts = [text for text in TEXTS if text]
    answers = service.ask("/classify", texts=texts, model="topics", top=2)["results"]
    for row, answer in zip(rows, answers, strict=True):
        assert row["label"] == answer["label"]
        assert row["confidence"] == pytest.approx(answer["confidence"], abs=1e-5)
        assert list(row["scores"]) == [score["label"] for score in answer["scores"]]


@pytest.mark.parametrize("model", ["words", "chars", "bpe"])
def test_scores_are_those_of_the_service(
    models: Path, service: RunningService, lines: Path, tmp_path: Path, model: str
) -> None:
    """Each line has the log-probability and perplexity of /score, also a long one."""
    rows = predict(models, model, lines, tmp_path / "out.jsonl", "--end")
    texts = [text for text in TEXTS if text]
    answers = service.ask("/score", texts=texts, model=model, end=True)["results"]
    assert "error" in rows.pop(1)
    for row, answer in zip(rows, answers, strict=True):
        for name in ("logprob", "perplexity", "bits_per_byte", "unknown_tokens"):
            assert row[name] == pytest.approx(answer[name], rel=1e-4, abs=1e-4)
        assert row["tokens"] == len(answer["tokens"])


@pytest.mark.parametrize("model", ["brief", "chars", "bpe"])
def test_continuations_are_those_of_the_service(
    models: Path, service: RunningService, lines: Path, tmp_path: Path, model: str
) -> None:
    """Each line has the text of /generate with the seed plus the number of the line."""
    options = ("--answer", "text", "--max-tokens", "9", "--seed", "5", "--top-k", "7")
    rows = predict(models, model, lines, tmp_path / "out.jsonl", *options, "--chunk", "2")
    for number, (row, text) in enumerate(zip(rows, TEXTS, strict=True)):
        if not text:
            assert "error" in row
            continue
        fields = {"prompt": text, "max_tokens": 9, "seed": 5 + number, "top_k": 7}
        (choice,) = service.ask("/generate", model=model, **fields)["choices"]
        assert (row["text"], row["finish_reason"]) == (choice["text"], choice["finish_reason"])


def test_shards_have_files_of_their_own(models: Path, tmp_path: Path) -> None:
    """With a directory each file of the data has its own file of results, and a marker."""
    for name, text in (("a.jsonl.gz", "a dog"), ("b.jsonl.gz", "the keys")):
        (tmp_path / name).write_bytes(gzip.compress(json.dumps({"text": text}).encode()))
    out = tmp_path / "out"
    data = [str(tmp_path / "*.gz")]
    command = ["predict", str(models / "sentiment"), "--data", *data, "--out", str(out)]
    assert main([*command, "--processes", "1"]) == 0
    files = sorted(path.name for path in out.iterdir())
    assert files == ["a.jsonl", "a.jsonl.done", "b.jsonl", "b.jsonl.done"]
    assert main([*command, "--processes", "1"]) == 2
    assert main([*command, "--processes", "1", "--resume"]) == 0


def test_tables_are_compressed_csv(models: Path, tmp_path: Path) -> None:
    """A CSV file has the copied columns, then those of the results; chunks join to one file."""
    data = tmp_path / "in.csv"
    data.write_text('id,text\n"x,1",a dog\ny,"the ""keys"""\nz,\n', encoding="utf-8")
    out = tmp_path / "out.csv.gz"
    command = ["predict", str(models / "sentiment"), "--data", str(data), "--out", str(out)]
    assert main([*command, "--copy", "id", "--processes", "1", "--chunk", "1"]) == 0
    rows = list(csv.DictReader(gzip.decompress(out.read_bytes()).decode().splitlines()))
    assert [row["id"] for row in rows] == ["x,1", "y", "z"]
    assert rows[0]["label"] in ("negative", "neutral", "positive")
    assert [bool(row["error"]) for row in rows] == [False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "out.parquet"), "choose .jsonl or .csv"),
        (("--out", "out.jsonl.xz"), "expected a name in"),
        (("--out", "x.jsonl", "--copy", "id"), "no columns"),
        (("--out", "x.jsonl", "--processes", "0"), "--processes: expected more than 0"),
    ],
)
def test_bad_options_are_named(
    models: Path,
    lines: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An option that cannot be used ends with status 2 and one line."""
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(models / "sentiment"), "--data", str(lines), *options]) == 2
    assert message in capsys.readouterr().err
