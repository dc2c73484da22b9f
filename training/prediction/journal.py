"""An output file that is written in parts and survives a killed process.

    OUT.partial    the lines so far
    OUT.progress   the committed part: bytes, documents, and a digest of their texts
    OUT            the whole file, renamed from OUT.partial
    OUT.done       marks OUT as complete, and has the options it was made with

A part is appended and flushed to the disk before OUT.progress is replaced. Bytes behind those of
OUT.progress are of a part that was not committed; a resumed run cuts them off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from training.errors import CheckpointError, OutputError
from training.files import write_atomically

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Committed:
    """The committed part of a file. ``digest``: of the texts; ``failed``: texts with an error."""

    documents: int = 0
    bytes: int = 0
    failed: int = 0
    digest: str = ""
    complete: bool = False


class OutputJournal:
    """The files of one output. ``identity``: the options that determine the content of the file.

    Raises:
        OutputError: the output exists, and neither ``resume`` nor ``overwrite`` is given.
        CheckpointError: the earlier run had other options, or its files are damaged.
    """

    def __init__(
        self, out: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool
    ) -> None:
        self._out = out
        self._partial, self._progress, self._done = (
            out.with_name(out.name + suffix) for suffix in (".partial", ".progress", ".done")
        )
        self._identity = dict(identity)
        self.finished = False
        self.committed = Committed()
        if overwrite and not resume:
            for path in (self._done, self._progress, self._partial):
                path.unlink(missing_ok=True)
        elif resume:
            self._resume()
        else:
            self._refuse_existing()

    def __enter__(self) -> Self:
        if not self.finished:
            self._file = self._partial.open("r+b" if self.committed.bytes else "wb")
            self._file.truncate(self.committed.bytes)
            self._file.seek(self.committed.bytes)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.finished:
            self._file.close()

    def append(self, content: bytes, *, documents: int, failed: int, digest: str) -> None:
        """Adds a part, which a killed process does not lose once this has returned.

        Raises:
            OSError: the disk is full; the part is not committed.
        """
        self._file.write(content)
        self._file.flush()
        os.fsync(self._file.fileno())
        before = self.committed
        self._commit(
            Committed(
                before.documents + documents,
                before.bytes + len(content),
                before.failed + failed,
                digest,
            )
        )

    def finish(self) -> None:
        """Gives the file its name, and writes the marker."""
        before = self.committed
        self._commit(
            Committed(before.documents, before.bytes, before.failed, before.digest, complete=True)
        )
        self._file.close()
        self._partial.replace(self._out)
        self._mark()
        self.finished = True

    def _mark(self) -> None:
        write_atomically(self._done, self._record(self.committed))
        self._progress.unlink(missing_ok=True)

    def _commit(self, committed: Committed) -> None:
        write_atomically(self._progress, self._record(committed))
        self.committed = committed

    def _record(self, committed: Committed) -> bytes:
        record = {"format": FORMAT, **asdict(committed), "options": self._identity}
        return (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()

    def _refuse_existing(self) -> None:
        if self._progress.exists() or self._partial.exists():
            raise OutputError(
                f"{self._out}: a run that was stopped has left its part; continue it with --resume "
                "or begin again with --overwrite"
            )
        if self._out.exists():
            raise OutputError(
                f"{self._out}: exists; choose another --out or replace it with --overwrite"
            )

    def _resume(self) -> None:
        if self._done.exists():
            self.committed = self._read(self._done)
            if self._size(self._out) != self.committed.bytes:
                raise CheckpointError(
                    f"{self._out}: has not the size in {self._done.name}; give --overwrite without "
                    "--resume to begin again"
                )
            self._progress.unlink(missing_ok=True)  # the process ended before it was removed
            self.finished = True
        elif self._progress.exists():
            self.committed = self._read(self._progress)
            if self.committed.complete and not self._partial.exists():
                self._mark()  # the process ended between the rename and the marker
                self.finished = True
            elif self._size(self._partial) < self.committed.bytes:
                raise CheckpointError(
                    f"{self._partial}: is shorter than {self._progress.name} says; give "
                    "--overwrite without --resume to begin again"
                )
        elif self._out.exists():
            self._refuse_existing()

    def _read(self, path: Path) -> Committed:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            version, options = record.pop("format"), record.pop("options")
            committed = Committed(**record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path}: is damaged ({error}); give --overwrite") from None
        if version != FORMAT:
            raise CheckpointError(f"{path}: has format {version}, expected {FORMAT}")
        for name in sorted(options.keys() | self._identity.keys()):
            before, now = options.get(name), self._identity.get(name)
            if before != now:
                raise CheckpointError(
                    f"{self._out}: the run was begun with {name} {_shown(before)}, now it is "
                    f"{_shown(now)}; resume with the same, or give --overwrite without --resume"
                )
        return committed

    @staticmethod
    def _size(path: Path) -> int:
        return path.stat().st_size if path.exists() else -1


def _shown(value: Any) -> str:
    return f"{value!r:.80}"
