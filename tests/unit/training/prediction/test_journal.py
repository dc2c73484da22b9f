"""The files of one output, killed at every step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from training.errors import CheckpointError, OutputError
from training.prediction.journal import OutputJournal

PARTS = [b"one\n", b"two\n", b"three\n"]


class KilledError(Exception):
    """Stands for a process that ends."""


def open_journal(
    out: Path, *, resume: bool = False, overwrite: bool = False, seed: int = 1
) -> OutputJournal:
    """A journal with one option."""
    return OutputJournal(out, {"seed": seed}, resume=resume, overwrite=overwrite)


def write(out: Path, *, resume: bool = False) -> None:
    """Appends the parts that are missing, and finishes."""
    with open_journal(out, resume=resume) as journal:
        if journal.finished:
            return
        for part in PARTS[journal.committed.documents :]:
            journal.append(part, documents=1, failed=0, digest="d")
        journal.finish()


class LastCall:
    """A function that ends the process in place of its call number ``last``."""

    def __init__(self, original: Callable[..., Any], last: int) -> None:
        self._original = original
        self._last = last
        self.count = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        if self.count == self._last:
            raise KilledError
        return self._original(*arguments, **options)


CALLS: dict[str, Callable[..., Any]] = {
    "os.fsync": os.fsync,
    "os.unlink": os.unlink,
    "os.replace": os.replace,
}


@pytest.mark.parametrize("call", CALLS)
def test_a_run_that_ends_anywhere_is_resumed(tmp_path: Path, call: str) -> None:
    """Whichever call to the disk is the last one, the resumed file has each part once."""
    for last in range(1, 40):
        out = tmp_path / f"{last}.jsonl"
        counted = LastCall(CALLS[call], last)
        try:
            with patch(call, counted):
                write(out)
        except KilledError:
            write(out, resume=True)
        assert out.read_bytes() == b"".join(PARTS)
        left = {path.name for path in tmp_path.glob(f"{last}.jsonl*") if path.suffix != ".part"}
        assert left == {out.name, out.name + ".done"}
        if counted.count < last:
            assert last > 1
            return
    pytest.fail("the calls have no end")


def test_bytes_that_are_not_committed_are_cut_off(tmp_path: Path) -> None:
    """A part that was written and not committed is written again."""
    out = tmp_path / "a.jsonl"
    with open_journal(out) as journal:
        journal.append(PARTS[0], documents=1, failed=0, digest="d")
    with (tmp_path / "a.jsonl.partial").open("ab") as file:
        file.write(b"half of a li")
    write(out, resume=True)
    assert out.read_bytes() == b"".join(PARTS)


def test_files_are_not_replaced_without_a_word(tmp_path: Path) -> None:
    """A finished and a stopped run need --resume or --overwrite."""
    out = tmp_path / "a.jsonl"
    with open_journal(out) as journal:
        journal.append(PARTS[0], documents=1, failed=0, digest="d")
    with pytest.raises(OutputError, match="--resume"):
        open_journal(out)
    write(out, resume=True)
    with pytest.raises(OutputError, match="--overwrite"):
        open_journal(out)
    assert open_journal(out, resume=True).finished
    assert open_journal(out, overwrite=True).committed.documents == 0
    assert out.exists()


def test_a_foreign_file_is_not_resumed(tmp_path: Path) -> None:
    """A file that this program did not write is kept."""
    out = tmp_path / "a.jsonl"
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        open_journal(out, resume=True)


@pytest.mark.parametrize("finished", [True, False])
def test_other_options_are_refused(tmp_path: Path, finished: bool) -> None:
    """A run is resumed with its own options; the message names the one that differs."""
    out = tmp_path / "a.jsonl"
    with open_journal(out) as journal:
        journal.append(PARTS[0], documents=1, failed=0, digest="d")
        if finished:
            journal.finish()
    with pytest.raises(CheckpointError, match="seed 1, now it is 2"):
        open_journal(out, resume=True, seed=2)


def test_damaged_files_are_reported(tmp_path: Path) -> None:
    """A short part, a changed file and a damaged journal are errors that name the file."""
    out = tmp_path / "a.jsonl"
    with open_journal(out) as journal:
        journal.append(PARTS[0], documents=1, failed=0, digest="d")
    partial, progress = tmp_path / "a.jsonl.partial", tmp_path / "a.jsonl.progress"
    partial.write_bytes(b"o")
    with pytest.raises(CheckpointError, match="shorter"):
        open_journal(out, resume=True)
    record = json.loads(progress.read_text())
    progress.write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(CheckpointError, match="format 99"):
        open_journal(out, resume=True)
    progress.write_text("{")
    with pytest.raises(CheckpointError, match="damaged"):
        open_journal(out, resume=True)
    progress.unlink()
    partial.unlink()
    write(out)
    out.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="size"):
        open_journal(out, resume=True)
