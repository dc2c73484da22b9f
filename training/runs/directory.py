"""The place of a run: DIR for the artifact, DIR.run beside it for checkpoint, log and recipe.

Decides whether a run may begin there (nobody's files are overwritten unasked), and writes the log,
one JSON object per line, each step told once, however often the run was killed and resumed. Knows
no networks.
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

RUN, DRAFT = ".run", ".run.draft"
TRAINING, VALIDATION, FINAL = "training", "validation", "final"  # events of the log


NOTHING_BEGUN = "free space or choose another --out, then start the command again"
CONTINUE = "free space, then continue with --resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What is asked of the command: options given, where to, and how to treat what is there."""

    given: Mapping[str, Any]
    out: Path
    recipe_file: Path | None = None
    resume: bool = False
    overwrite: bool = False
    tensorboard: Path | None = None


@contextmanager
def writing(path: Path, advice: str) -> Iterator[None]:
    """A block that writes ``path``.

    Raises:
        OutputError: the system does not take it; the message ends in ``advice``.
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

    What is written before the run begins is written into DIR.run.draft, which becomes DIR.run: so
    that a run that cannot begin leaves nothing behind and spoils no earlier one. ``draft``: these
    are the paths before that.
    """

    artifact: Path
    draft: bool = False

    @property
    def files(self) -> Path:
        return self.artifact.with_name(self.artifact.name + (DRAFT if self.draft else RUN))

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
        """Whether DIR holds an artifact; it may be damaged."""
        return (self.artifact / MANIFEST_FILE).exists()

    def check(self, *, overwrite: bool) -> None:
        """Makes sure that a fresh run may begin here.

        Raises:
            OutputError: something that is not to be overwritten is there.
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
        """A block in which a fresh run is prepared and begun; the draft is gone afterwards.

        Raises:
            OutputError: it cannot be made.
        """
        draft = RunDirectory(self.artifact, draft=True)
        shutil.rmtree(draft.files, ignore_errors=True)  # that of a run that was killed
        try:
            with writing(draft.files, NOTHING_BEGUN):
                draft.files.mkdir(parents=True)
            yield draft
        finally:
            shutil.rmtree(draft.files, ignore_errors=True)

    def begin(self, *, overwrite: bool) -> None:
        """Makes the directory for a fresh run from the draft, in the place of an earlier one's.

        Raises:
            OutputError: as :meth:`check`, or it cannot be made.
        """
        self.check(overwrite=overwrite)
        draft = RunDirectory(self.artifact, draft=True)
        with writing(self.files, NOTHING_BEGUN):
            draft.files.mkdir(parents=True, exist_ok=True)
            if self.files.exists():
                shutil.rmtree(self.files)
            draft.files.rename(self.files)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds a line to the log.

        Raises:
            OutputError: the disk is full.
        """
        with writing(self.log, CONTINUE), self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def rewind(self, step: int) -> None:
        """Takes out of the log what a run that is resumed after ``step`` steps will tell again.

        The checkpoint of a step is saved after its validation and before anything that follows.
        """
        kept = [
            record
            for record in read_log(self.log)
            if record["step"] < step or (record["step"] == step and record["event"] == VALIDATION)
        ]
        content = "".join(json.dumps(record) + "\n" for record in kept)
        with writing(self.log, CONTINUE):
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
    """The records of a log, in order; none where there is no log.

    Lines that a full disk or a crash has cut short are left out.
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
