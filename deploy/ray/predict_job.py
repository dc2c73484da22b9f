"""Bulk prediction as a Ray Data job (Ray 2.60): ``python -m deploy.ray.predict_job``.

It takes the arguments of ``python -m training predict``; ``--out`` is a directory. Model, data and
directory are on a file system that all nodes have. Each file of ``--data`` is one task of an actor,
which writes its own output file as the command does. If a node dies, Ray repeats the tasks of its
actors on another node, and a repeated task continues its file behind the part that is committed.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from model.artifact import load_artifact
from model.errors import ModelError
from training.config.options import add_options, given_options
from training.config.prediction import PredictionRequest
from training.errors import InputError, OutputError
from training.prediction.job import (
    OutputFile,
    identity_of,
    planned_files,
    reading_of,
    write_predictions,
)
from training.prediction.journal import Committed, OutputJournal
from training.prediction.predictors import columns_of, settings_of
from training.prediction.tables import format_of
from training.prediction.workers import ThisProcess
from training.readers.sources import expand_sources
from training.runs.lock import exclusive_lock

LOCK_SECONDS = 60.0  # for which a repeated task waits for an earlier one that still writes


class PredictFile:
    """An actor: one process with the model, which writes one file after the other."""

    def __init__(self, request: PredictionRequest) -> None:
        import torch  # noqa: PLC0415 - not in the driver

        torch.set_num_threads(1)
        artifact = load_artifact(request.artifact)
        settings = settings_of(request)
        self._request = request
        self._digests = artifact.manifest.files
        self._columns = columns_of(artifact, settings)
        self._model = ThisProcess(settings)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Writes the files of a batch; returns the number of documents of each."""
        totals = [
            self._write(Path(out), str(source))
            for out, source in zip(batch["out"], batch["source"], strict=True)
        ]
        return {
            "documents": [total.documents for total in totals],
            "failed": [total.failed for total in totals],
        }

    def _write(self, out: Path, source: str) -> Committed:
        file = OutputFile(
            out=out,
            sources=(source,),
            reading=reading_of(self._request),
            columns=self._columns,
            chunk=self._request.chunk,
        )
        with exclusive_lock(out, wait_seconds=LOCK_SECONDS):
            identity = identity_of(self._request, self._digests, file.sources)
            journal = OutputJournal(out, identity, resume=True, overwrite=False)
            return write_predictions(file, journal, self._model, lambda *_: None)


def predict(request: PredictionRequest) -> tuple[int, int]:
    """Runs the job on the cluster of this process; the numbers of documents and of failed ones.

    ``processes``: of actors, one for each processor of the cluster by default.

    Raises:
        InputError: as the command ``predict``.
    """
    if format_of(request.out) is not None:
        raise OutputError(f"{request.out}: expected a directory, since each file is a task")
    request = dataclasses.replace(
        request, artifact=request.artifact.absolute(), out=request.out.absolute()
    )
    sources = [_absolute(source) for source in expand_sources(request.data)]
    request.out.mkdir(parents=True, exist_ok=True)
    files = planned_files(request.out, sources, directory=True)
    _prepare(request, files)
    processes = min(len(files), request.processes or int(ray.cluster_resources()["CPU"]))
    tasks = [{"out": str(out), "source": source} for out, (source,) in files]
    results = (
        ray.data.from_items(tasks, override_num_blocks=len(tasks))
        .map_batches(
            PredictFile,
            fn_constructor_args=(request,),
            batch_size=1,
            # The job goes on with fewer nodes.
            compute=ray.data.ActorPoolStrategy(
                min_size=1, initial_size=processes, max_size=processes
            ),
            num_cpus=1,
        )
        .take_all()
    )
    return sum(row["documents"] for row in results), sum(row["failed"] for row in results)


def _prepare(request: PredictionRequest, files: Sequence[tuple[Path, tuple[str, ...]]]) -> None:
    """Refuses or removes earlier files; each task then continues what is there."""
    digests = load_artifact(request.artifact).manifest.files
    for out, sources in files:
        identity = identity_of(request, digests, sources)
        OutputJournal(out, identity, resume=request.resume, overwrite=request.overwrite)
        if request.overwrite and not request.resume:
            out.unlink(missing_ok=True)


def _absolute(source: str) -> str:
    return source if source.startswith("hf:") else str(Path(source).absolute())


def main(arguments: Sequence[str] | None = None) -> int:
    """Connects to the cluster and runs the job; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.ray.predict_job", description=__doc__)
    add_options(parser, PredictionRequest)
    parsed = parser.parse_args(arguments)
    try:
        request = PredictionRequest(**given_options(PredictionRequest, parsed))
        ray.init()
        documents, failed = predict(request)
    except (InputError, ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{request.out}: {documents:,} documents, {failed:,} of them without a result")
    return 0


if __name__ == "__main__":
    sys.exit(main())
