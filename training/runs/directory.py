"""The files of a run: the artifact in DIR; checkpoint, log and recipe in DIR.run.

Files are overwritten only with --overwrite. The log has one JSON object per line, and each step
once, however often the run was stopped and resumed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.manifest import MANIFEST_FILE
from training.errors import OutputError
from training.files import write_atomically

RUN_SUFFIX, DRAFT_SUFFIX = ".run", ".run.draft"
TRAINING_EVENT, VALIDATION_EVENT, FINAL_EVENT = (
    "training",
    "validation",
    "final",
)  # events of the log


RESTART_ADVICE = "free space or choose another --out, then start the command again"
RESUME_ADVICE = "free space, then continue with --resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """The arguments of a command with a recipe: its options, and the directory of its output."""

    given: Mapping[str, Any]
    out: Path
    recipe_file: Path | None = None
    resume: bool = False
    overwrite: bool = False
    tensorboard: Path | None = None


@contextmanager
def reporting_write_errors(path: Path, advice: str) -> Iterator[None]:
    """A block that writes ``path``.

    Raises:
        OutputError: it cannot be written; the message ends in ``advice``.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written: {error.strerror or error}; {advice}"
        ) from None


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one run. ``artifact`` is DIR, ``files`` is DIR.run.

    Files that are written before the run begins are in DIR.run.draft, which is renamed to DIR.run,
    so that a run that cannot begin leaves no files and keeps an earlier run. ``draft``: whether
    these are the paths before the renaming.
    """

    artifact: Path
    draft: bool = False

    @property
    def files(self) -> Path:
        return self.artifact.with_name(
            self.artifact.name + (DRAFT_SUFFIX if self.draft else RUN_SUFFIX)
        )

    @property
    def checkpoint(self) -> Path:
        return self.files / "checkpoint.safetensors"

    @property
    def recipe(self) -> Path:
        return self.files / "recipe.toml"

    @property
    def tokenizer(self) -> Path:
        return self.files / "tokenizer.json"

    @property
    def tokens(self) -> Path:
        return self.files / "tokens"

    @property
    def log(self) -> Path:
        return self.files / "log.jsonl"

    def has_artifact(self) -> bool:
        """Whether DIR has an artifact, which may be damaged."""
        return (self.artifact / MANIFEST_FILE).exists()

    def check(self, *, overwrite: bool) -> None:
        """Checks that a new run may begin here.

        Raises:
            OutputError: files are there that must not be overwritten.
        """
        self._refuse_foreign()
        if not overwrite and self.checkpoint.exists():
            raise OutputError(
                f"{self.artifact}: holds a run already; continue it with --resume, or begin anew "
                "with --overwrite"
            )
        if not overwrite and self.has_artifact():
            raise OutputError(
                f"{self.artifact}: holds an artifact already; choose another --out, or replace it "
                "with --overwrite"
            )

    @contextmanager
    def drafting(self) -> Iterator[RunDirectory]:
        """A block that prepares and begins a new run; the draft is removed at its end.

        Raises:
            OutputError: the draft cannot be made.
        """
        draft = RunDirectory(self.artifact, draft=True)
        shutil.rmtree(draft.files, ignore_errors=True)  # of a run that was killed
        try:
            with reporting_write_errors(draft.files, RESTART_ADVICE):
                draft.files.mkdir(parents=True)
            yield draft
        finally:
            shutil.rmtree(draft.files, ignore_errors=True)

    def begin(self, *, overwrite: bool) -> None:
        """Makes the draft the directory of the run, in place of that of an earlier run.

        Raises:
            OutputError: as :meth:`check`, or it cannot be made.
        """
        self.check(overwrite=overwrite)
        draft = RunDirectory(self.artifact, draft=True)
        with reporting_write_errors(self.files, RESTART_ADVICE):
            draft.files.mkdir(parents=True, exist_ok=True)
            if self.files.exists():
                shutil.rmtree(self.files)
            draft.files.rename(self.files)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a line to the log.

        Raises:
            OutputError: the disk is full.
        """
        with (
            reporting_write_errors(self.log, RESUME_ADVICE),
            self.log.open("a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(record) + "\n")

    def rewind(self, step: int) -> None:
        """Removes the log records that a run resumed after ``step`` steps will write again.

        The checkpoint of a step is saved after its validation and before all that follows.
        """
        kept = [
            record
            for record in read_log(self.log)
            if record["step"] < step
            or (record["step"] == step and record["event"] == VALIDATION_EVENT)
        ]
        content = "".join(json.dumps(record) + "\n" for record in kept)
        with reporting_write_errors(self.log, RESUME_ADVICE):
            write_atomically(self.log, content.encode())

    def _refuse_foreign(self) -> None:
        if not self.artifact.exists():
            return
        if not self.artifact.is_dir():
            raise OutputError(f"{self.artifact}: is a file; --out names a directory")
        if any(self.artifact.iterdir()) and not self.has_artifact():
            raise OutputError(
                f"{self.artifact}: holds files but no artifact; choose an empty or new directory"
            )


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a log, in order; empty without a log.

    Incomplete lines, of a full disk or a crash, are left out.
    """
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"event", "step"} <= record.keys():
            records.append(record)
    return records
