"""Tokenized text on disk: whole or not there, found again, and never all in memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_char_tokenizer, train_word_tokenizer
from tests.support.training.language_model_command import (
    EXACT,
    SMALL,
    assert_same_weights,
    corpus_options,
)
from tests.support.training.synthetic_corpus import text
from training.commands.cli import main
from training.data.token_store import read_tokenized_text, write_tokenized_text
from training.data.token_stream import build_stream
from training.errors import OutputError
from training.readers.documents import DocumentPart

DOCUMENTS = text(40).splitlines()
WORDS = train_word_tokenizer(DOCUMENTS, vocabulary=None)


def parts(documents: list[str]) -> list[DocumentPart]:
    """Each document as one part."""
    return [DocumentPart(document, opens=True) for document in documents]


def write(folder: Path, tokenizer: Tokenizer = WORDS) -> None:
    """Two splits."""
    splits = {"train": parts(DOCUMENTS), "valid": parts(["a dog", "a cat"])}
    write_tokenized_text(folder, "key", tokenizer, splits)


def only_folder(cache: Path) -> Path:
    """The one tokenized text in it."""
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    return folder


def test_tokens_are_read_as_they_were_written(tmp_path: Path) -> None:
    """The same stream as in memory, from a map, with what tokenized it."""
    write(tmp_path / "tokens")
    tokenized = read_tokenized_text(tmp_path / "tokens", "key")
    assert tokenized is not None
    expected = build_stream(DOCUMENTS, WORDS)
    stream = tokenized.splits["train"].stream
    assert stream.tokens_N.tolist() == expected.tokens_N.tolist()
    assert stream.borders_D.tolist() == expected.borders_D.tolist()
    assert stream.end == WORDS.end
    assert isinstance(stream.tokens_N.base, np.memmap)
    assert tokenized.tokenizer.to_json() == WORDS.to_json()
    assert tokenized.splits["valid"].characters == len("a dog") + len("a cat")
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_the_smallest_type_is_taken(tmp_path: Path) -> None:
    """One byte for up to 256 tokens, then two."""
    for size, width in ((254, 1), (255, 2)):
        characters = "".join(chr(0x4E00 + index) for index in range(size))
        write_tokenized_text(
            tmp_path / "t",
            "key",
            train_char_tokenizer([characters]),
            {"train": parts([characters])},
        )
        assert (tmp_path / "t" / "train.tokens").stat().st_size == width * (size + 1)
        tokenized = read_tokenized_text(tmp_path / "t", "key")
        assert tokenized is not None
        stream = tokenized.splits["train"].stream
        assert sorted(stream.tokens_N.tolist()) == [*range(1, size + 2)]


@pytest.mark.parametrize("damage", ["flipped", "cut", "missing", "half", "index", "other"])
def test_damaged_or_outdated_tokens_are_not_used(tmp_path: Path, damage: str) -> None:
    """A damaged or outdated directory counts as missing and is written again."""
    folder = tmp_path / "tokens"
    write(folder)
    tokens = folder / "train.tokens"
    content = bytearray(tokens.read_bytes())
    if damage == "flipped":
        content[7] ^= 1
        tokens.write_bytes(content)
    elif damage == "cut":
        tokens.write_bytes(content[:-1])
    elif damage == "missing":
        (folder / "valid.borders").unlink()
    elif damage == "half":
        folder.rename(tmp_path / "tokens.part")
    elif damage == "index":
        (folder / "index.json").write_text("[")
    assert read_tokenized_text(folder, "another key" if damage == "other" else "key") is None
    write(folder)
    assert read_tokenized_text(folder, "key") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


FILL = """
import sys
from pathlib import Path
from tests.support.training.forked import limited_files
from tests.unit.training.data.test_token_store import write
with limited_files(100):
    write(Path(sys.argv[1]))
"""


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    """A full disk is reported, and the previous tokens are kept."""
    write(tmp_path / "tokens")
    child = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path / "tokens")],
        capture_output=True,
        text=True,
        check=False,
    )
    stderr = child.stderr.strip().split("\n")[-1]
    assert OutputError.__name__ in stderr
    assert "tokens: the tokens cannot be written: File too large; free space" in stderr
    assert read_tokenized_text(tmp_path / "tokens", "key") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["tokens"]


def test_a_cache_serves_several_runs(tmp_path: Path) -> None:
    """The same text is tokenized once for runs of any size; another text beside it."""
    corpus, cache = corpus_options(tmp_path), tmp_path / "cache"
    options = ["--steps", "2", "--token-cache", str(cache)]
    assert main(["lm", *corpus, *options, "--out", str(tmp_path / "a")]) == 0
    tokens = only_folder(cache) / "train.tokens"
    written = tokens.stat().st_mtime_ns
    assert main(["lm", *corpus, *options, "--hidden", "8", "--out", str(tmp_path / "b")]) == 0
    assert tokens.stat().st_mtime_ns == written
    Path(corpus[3]).write_text(text(50, seed=8))
    assert main(["lm", *corpus, *options, "--out", str(tmp_path / "c")]) == 0
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 2


STOP = """
import os, sys
from training.commands.cli import main
from training.trainers.reporter import Reporter
Reporter.evaluated = lambda *_: os._exit(9)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("lost", [False, True])
def test_a_resumed_run_uses_its_tokens_or_makes_them_again(tmp_path: Path, lost: bool) -> None:
    """If they are damaged or gone, they are the same again."""
    options = [*corpus_options(tmp_path), "--steps", "12"]
    assert main(["lm", *options, "--out", str(tmp_path / "whole")]) == 0
    broken = [*options, "--checkpoint-seconds", "0.0001", "--out", str(tmp_path / "broken")]
    child = subprocess.run([sys.executable, "-c", STOP, "lm", *broken], check=False)
    assert child.returncode == 9
    tokens = only_folder(tmp_path / "broken.run" / "tokens") / "train.tokens"
    content, written = tokens.read_bytes(), tokens.stat().st_mtime_ns
    if lost:
        tokens.write_bytes(content[:-1])
    assert main(["lm", "--resume", "--out", str(tmp_path / "broken")]) == 0
    assert tokens.read_bytes() == content
    assert (tokens.stat().st_mtime_ns == written) != lost
    assert_same_weights(tmp_path / "whole", tmp_path / "broken")


MEASURE = """
import json, resource, sys
from training.commands.cli import main
status = main(sys.argv[1:])
print(json.dumps([status, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def peak_megabytes(corpus: Path, *options: str) -> float:
    """The most memory that a run of a few steps had."""
    child = subprocess.run(
        [sys.executable, "-c", MEASURE, "lm", "--train", str(corpus), *options],
        capture_output=True,
        text=True,
        check=True,
    )
    status, kilobytes = json.loads(child.stdout.split("\n")[-2])
    assert status == 0, child.stderr
    per_megabyte = 2**20 if sys.platform == "darwin" else 2**10
    return float(kilobytes) / per_megabyte


@pytest.mark.slow
@pytest.mark.parametrize("form", ["one line", "records"])
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, form: str) -> None:
    """4 MB more text (in memory, with its tokens, some 80 MB) take hardly any more memory."""
    unit = text(3000)  # 90 kB
    if form == "one line":
        unit = unit.replace("\n", " ")
    else:
        unit = "".join(json.dumps({"text": line}) + "\n" for line in unit.splitlines())
    peaks = []
    for name, copies in (("small", 2), ("large", 2 + round(4e6 / len(unit)))):
        corpus = tmp_path / (f"{name}.jsonl" if form == "records" else f"{name}.txt")
        corpus.write_text(unit * copies)
        options = ["--vocabulary", "20", "--steps", "2", *SMALL, *EXACT]
        peaks.append(peak_megabytes(corpus, *options, "--out", str(tmp_path / name)))
    assert peaks[1] - peaks[0] < 12, peaks
