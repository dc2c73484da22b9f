"""``python -m training predict``: results of a model for any number of documents, in files."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tqdm import tqdm

from model.artifact import load_artifact
from model.system.cpu_quota import granted_cpus
from training.config.prediction import PredictionRequest
from training.errors import OutputError
from training.prediction.job import (
    OutputFile,
    identity_of,
    planned_files,
    reading_of,
    write_predictions,
)
from training.prediction.journal import OutputJournal
from training.prediction.predictors import PredictorSettings, columns_of, settings_of
from training.prediction.tables import format_of
from training.prediction.workers import Workers
from training.readers.sources import expand_sources
from training.runs.lock import exclusive_lock

LINE_SECONDS = 15.0  # between lines of progress without a terminal


def run(request: PredictionRequest) -> int:
    """Writes the files and a summary; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be loaded.
        DataError: the data cannot be read.
        OutputError: a file exists, or cannot be written.
        CheckpointError: the run that is resumed had other options.
        RunError: a process was killed.
    """
    logging.getLogger("service.kernel").setLevel(logging.ERROR)  # each process would repeat it
    artifact = load_artifact(request.artifact)
    settings = settings_of(request)
    directory = format_of(request.out) is None
    if directory and request.out.is_file():
        raise OutputError(f"{request.out}: is a file; name it .jsonl or .csv, or give a directory")
    files = planned_files(request.out, expand_sources(request.data), directory=directory)
    columns = columns_of(artifact, settings)
    with exclusive_lock(request.out):
        if directory:
            request.out.mkdir(parents=True, exist_ok=True)
        return _write(request, settings, files, artifact.manifest.files, columns)


def _write(
    request: PredictionRequest,
    settings: PredictorSettings,
    files: Sequence[tuple[Path, tuple[str, ...]]],
    digests: Mapping[str, str],
    columns: tuple[str, ...],
) -> int:
    journals = [
        OutputJournal(
            out,
            identity_of(request, digests, sources),
            resume=request.resume,
            overwrite=request.overwrite,
        )
        for out, sources in files
    ]
    documents = failed = 0
    processes = request.processes or granted_cpus()
    with Workers(settings, processes) as workers, _Meter() as meter:
        for (out, sources), journal in zip(files, journals, strict=True):
            meter.kept(journal.committed.documents)
            file = OutputFile(
                out=out,
                sources=sources,
                reading=reading_of(request),
                columns=columns,
                chunk=request.chunk,
            )
            totals = write_predictions(file, journal, workers, meter.add)
            documents += totals.documents
            failed += totals.failed
        summary = meter.summary()
    without = f", {failed:,} of them without a result (field `error`)" if failed else ""
    print(f"{request.out}: {documents:,} documents{without}; {summary}")
    return 0


class _Meter:
    """The number of documents and their rate, as a bar or as lines."""

    def __init__(self) -> None:
        self._began = self._shown = time.monotonic()
        self._count = self._kept = 0
        self._bar = (
            tqdm(desc="predict", unit=" documents", unit_scale=True, leave=False)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            with suppress(OSError):
                self._bar.close()

    def kept(self, documents: int) -> None:
        """Counts documents of the run that is resumed."""
        self._kept += documents

    def add(self, documents: int, failed: int) -> None:  # noqa: ARG002
        """Counts a chunk."""
        self._count += documents
        with suppress(OSError):
            if self._bar is not None:
                self._bar.update(documents)
            elif time.monotonic() - self._shown >= LINE_SECONDS:
                self._shown = time.monotonic()
                print(f"predict: {self.summary()}", file=sys.stderr, flush=True)

    def summary(self) -> str:
        """The documents of this run and their rate."""
        seconds = max(1e-9, time.monotonic() - self._began)
        kept = f"{self._kept:,} kept, " if self._kept else ""
        return f"{kept}{self._count:,} predicted, {self._count / seconds:,.0f} documents/s"
