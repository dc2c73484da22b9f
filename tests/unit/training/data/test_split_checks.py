"""Oddities of splits are reported before training; none is refused."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.training.synthetic_corpus import text
from training.commands.cli import main
from training.config.classifier import ClassifierRecipe
from training.data.examples import read_splits
from training.errors import DataError
from training.readers.notices import shown_notices

pytestmark = pytest.mark.slow

Rows = list[tuple[str, str]]
TRAIN: Rows = [(f"text {i}", "ab"[i % 2]) for i in range(20)]


def write(path: Path, rows: Rows) -> str:
    """JSON lines of texts and labels."""
    path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows))
    return str(path)


def told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], train: Rows, valid: Rows, test: Rows
) -> str:
    """The notes of reading the splits."""
    files = {
        name: (write(tmp_path / f"{name}.jsonl", rows),)
        for name, rows in (("train", train), ("valid", valid), ("test", test))
        if rows
    }
    with shown_notices():
        read_splits(ClassifierRecipe(**files))  # type: ignore[arg-type]
    return capfd.readouterr().err


def test_splits_without_faults_are_read_without_a_word(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Texts that differ, labels that occur in each."""
    other = [("other", "a"), ("more", "b")]
    assert told_of(tmp_path, capfd, TRAIN, other, [(f"{t}!", label) for t, label in other]) == ""


@pytest.mark.parametrize(
    ("train", "valid", "test", "expected"),
    [
        (TRAIN, [("x", "a"), ("y", "b")], [("text 3 ", "b"), ("z", "a")],
         "--test: 1 of 2 texts occur in --train, too"),
        (TRAIN, [("x", "a"), ("y", "b")], [("x", "a"), ("y", "b"), ("z", "a")],
         "--test: 2 of 3 texts occur in --valid, too"),
        ([*TRAIN, ("solo", "c")], [("x", "a"), ("y", "b")], [],
         "--train: labels with a single example: 'c'"),
        ([*TRAIN, ("s", "A "), ("t", "A")], [("x", "a"), ("y", "b")], [],
         "differ by case or spaces alone are taken for different ones: 'A' (2), 'a' (10)"),
        ([*TRAIN, ("text 0", "b")], [("x", "a"), ("y", "b")], [],
         "texts with different labels: 1, as 'text 0'"),
        (TRAIN, [("x", "a")], [], "--valid: labels without an example: 'b'"),
        ([("same", "a")] * 20 + TRAIN, [], [], "the held-out examples: "),
    ],
)  # fmt: skip
def test_oddities_of_examples_are_reported(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    train: Rows,
    valid: Rows,
    test: Rows,
    expected: str,
) -> None:
    """Duplicates between splits, single, alike and missing labels, contradictions."""
    assert expected in told_of(tmp_path, capfd, train, valid, test)


@pytest.mark.parametrize("kind", ["same", "link", "copy"])
@pytest.mark.parametrize("command", ["lm", "classifier"])
def test_one_file_for_two_splits_is_reported(
    tmp_path: Path, kind: str, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both commands recognize the same file by name, link or content."""
    file = Path(write(tmp_path / "a.jsonl", TRAIN * 5))
    other = tmp_path / "b.jsonl"
    if kind == "link":
        other.symlink_to(file)
    elif kind == "copy":
        shutil.copy(file, other)
    else:
        other = file
    small = ["--hidden", "4", "--embedding", "4", "--epochs", "0.1", "--threads", "1"]
    files = ["--train", str(file), "--valid", str(other), "--out", str(tmp_path / "m")]
    assert main([command, *files, *small]) == 0
    assert f"{other}: is given both for --train and for --valid" in capfd.readouterr().err


def test_a_validation_text_in_the_training_data_is_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A validation text within a training document counts; the same words reordered do not."""
    train, valid = tmp_path / "train.txt", tmp_path / "valid.txt"
    lines = [f"{index} {text(3, seed=index)}".replace("\n", " ") for index in range(99)]
    train.write_text("\n".join(lines))
    small = ["--steps", "1", "--hidden", "4", "--embedding", "4", "--threads", "1"]
    for part, warned in ((lines[50:60], True), ([line[::-1] for line in lines[:9]], False)):
        valid.write_text("\n".join(part))
        files = ["--train", str(train), "--valid", str(valid), "--tokenizer", "char"]
        assert main(["lm", *files, *small, "--overwrite", "--out", str(tmp_path / "m")]) == 0
        assert ("occur in the training text, too" in capfd.readouterr().err) == warned


def test_evaluate_reports_texts_of_the_training_data(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The digest in the manifest recognizes the file under any name."""
    train, again, model = tmp_path / "a.txt", tmp_path / "b.txt", str(tmp_path / "m")
    train.write_text(text(100))
    small = ["--steps", "1", "--hidden", "4", "--embedding", "4", "--threads", "1"]
    assert main(["lm", "--train", str(train), *small, "--out", model]) == 0
    for content, warned in ((train.read_text(), True), (text(100, seed=7), False)):
        again.write_text(content)
        capfd.readouterr()
        assert main(["evaluate", model, "--data", str(again)]) == 0
        assert ("the model was trained on it" in capfd.readouterr().err) == warned


def test_training_data_out_of_scope_alone_are_refused(tmp_path: Path) -> None:
    """There is no label to learn."""
    train = write(tmp_path / "train.jsonl", [("x", "none"), ("y", "none")])
    with pytest.raises(DataError, match="all examples have the label 'none'"):
        read_splits(ClassifierRecipe(train=(train,), out_of_scope_label="none"))
