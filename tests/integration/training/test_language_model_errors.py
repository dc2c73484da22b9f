"""The lm command: what it refuses, and what survives when a run cannot go on."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.training.language_model_command import (
    EXACT,
    assert_one_line,
    corpus_options,
    run,
    start,
    wait_for_log,
)
from tests.support.training.synthetic_corpus import text
from training.commands.cli import main


@pytest.fixture
def corpus(tmp_path: Path) -> list[str]:
    """Options that name training and validation files and a small network."""
    return corpus_options(tmp_path)


def refused(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Status 2 and one line that holds these parts."""
    assert result.returncode == 2, result.stderr
    assert_one_line(result.stderr, *parts)


def file_with(directory: Path, content: bytes, name: str = "t.txt") -> str:
    """The path of a file with that content."""
    (directory / name).write_bytes(content)
    return str(directory / name)


ENOUGH = b"a b a b " * 50
CASES: dict[str, tuple[bytes, str, list[str], str]] = {
    "empty": (b"", "t.txt", [], "t.txt: holds no text"),
    "not UTF-8": (b"fine\n\xff\xfe", "t.txt", [], "line 2: not UTF-8"),
    "wrong column": (b'{"text": "a"}', "t.jsonl", ["--column", "body"], "no column 'body'"),
    "vocabulary": (b"a b c", "t.txt", ["--vocabulary", "5000"], "vocabulary of 5000"),
    "rare words": (b"all once", "t.txt", ["--minimum-count", "9"], "lower minimum count"),
    "tied": (ENOUGH, "t.txt", ["--tied", "--projection", "0", "--embedding", "7"], "tied"),
    "too wide": (ENOUGH, "t.txt", ["--hidden", "99999999"], "hidden"),
    "name": (ENOUGH, "t.txt", ["--name", "no/name"], "no/name"),
    "small for adaptive": (
        ENOUGH,
        "t.txt",
        ["--softmax", "adaptive"],
        "--softmax adaptive: the vocabulary is small",
    ),
    "cut outside": (ENOUGH, "t.txt", ["--softmax", "adaptive", "--cutoffs", "9"], "cutoffs: exp"),
    "cut of full": (
        ENOUGH,
        "t.txt",
        ["--cutoffs", "2"],
        "--cutoffs: belongs to --softmax adaptive",
    ),
    "cut of bpe": (
        ENOUGH,
        "t.txt",
        ["--softmax", "adaptive", "--tokenizer", "bpe"],
        "which BPE does not give",
    ),
    "no vectors": (ENOUGH, "t.txt", ["--vectors", "none.txt"], "none.txt"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_clear_line(
    tmp_path: Path, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Which names the file or the option, and no artifact or run is left behind."""
    content, name, options, message = CASES[case]
    file = file_with(tmp_path, content, name)
    out = tmp_path / "out"
    assert main(["lm", "--train", file, *options, *EXACT, "--steps", "2", "--out", str(out)]) == 2
    assert_one_line(capfd.readouterr().err, message)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_process_ends_with_status_2_and_no_traceback(tmp_path: Path) -> None:
    """A process that refuses its options has status 2 and prints no traceback."""
    file = file_with(tmp_path, b"fine\n\xff\xfe")
    refused(run("--train", file, "--out", str(tmp_path / "m")), "t.txt, line 2: not UTF-8")


def test_missing_files_are_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Plain ones, patterns, recipes, checkpoints."""
    cases = {
        "none.txt: cannot be read": ["--train", "none.txt"],
        "none*.txt: no file matches": ["--train", "none*.txt"],
        "none.toml: cannot be read": ["--recipe", "none.toml"],
        "there is no checkpoint": ["--resume"],
        "--train: give at least one file": [],
    }
    for message, options in cases.items():
        assert main(["lm", *options, "--out", str(tmp_path / "m")]) == 2
        assert_one_line(capfd.readouterr().err, message)


def test_foreign_files_are_not_overwritten(
    corpus: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A directory with other files, a file, an earlier run; the last one only when asked."""

    def asked(out: Path, *options: str) -> int:
        return main(["lm", *corpus, "--steps", "2", "--out", str(out), *options])

    foreign, out = tmp_path / "foreign", tmp_path / "m"
    foreign.mkdir()
    kept = Path(file_with(foreign, b"precious"))
    for options in ([], ["--overwrite"]):
        assert asked(foreign, *options) == 2
        assert_one_line(capfd.readouterr().err, "foreign: holds files but no artifact")
        assert asked(kept, *options) == 2
        assert_one_line(capfd.readouterr().err, "is a file")
    assert kept.read_bytes() == b"precious"
    assert asked(out) == 0
    capfd.readouterr()
    assert asked(out) == 2
    assert_one_line(capfd.readouterr().err, "--resume", "--overwrite")
    assert asked(out, "--overwrite") == 0


def test_resuming_with_other_data_or_options_is_refused(
    corpus: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run does not resume with other options or data; the message names the difference."""
    out = str(tmp_path / "m")
    endless = [*corpus, "--steps", "100000", "--evaluations", "10000", "--out", out]
    child = start(*endless)
    wait_for_log(tmp_path / "m.run" / "log.jsonl", events=1)
    child.terminate()
    child.wait(timeout=30)
    assert main(["lm", "--resume", "--out", out, "--steps", "5", "--threads", "2"]) == 2
    assert_one_line(capfd.readouterr().err, "--steps was 100000, now 5")
    Path(corpus[1]).write_text(text(400, seed=9))
    shutil.rmtree(out)  # with its artifact the run would be complete
    assert main(["lm", "--resume", "--out", out]) == 2
    assert_one_line(capfd.readouterr().err, "other data", corpus[1], "--overwrite")


def test_a_damaged_checkpoint_is_refused(
    corpus: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error names the damaged checkpoint."""
    out = tmp_path / "m"
    assert main(["lm", *corpus, "--steps", "2", "--out", str(out)]) == 0
    capfd.readouterr()
    checkpoint = tmp_path / "m.run" / "checkpoint.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-10] ^= 1
    checkpoint.write_bytes(content)
    assert main(["lm", "--resume", "--out", str(out)]) == 2
    assert_one_line(capfd.readouterr().err, "checkpoint.safetensors: damaged")


def test_a_full_disk_is_reported_before_training(corpus: list[str], tmp_path: Path) -> None:
    """A full disk is reported before training begins."""
    result = run(*corpus, "--steps", "50", "--out", str(tmp_path / "m"), max_file_bytes=6000)
    assert result.returncode == 2
    assert "checkpoint.safetensors: cannot be written: File too large" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_that_diverges_is_reported_and_keeps_the_best(
    corpus: list[str], tmp_path: Path
) -> None:
    """Status 1, one line of advice, an artifact that still loads."""
    out = tmp_path / "m"
    wild = ["--learning-rate", "1e30", "--clip-norm", "0", "--steps", "200", "--weight-decay", "0"]
    result = run(*corpus, *wild, "--evaluations", "100", "--out", str(out))
    assert result.returncode == 1, result.stderr
    assert "lower --learning-rate" in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "m.run" / "checkpoint.safetensors").exists()
