"""One output file: the texts of its sources in chunks, their results appended in order."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config.prediction import PredictionRequest
from training.errors import DataError
from training.prediction.journal import Committed, OutputJournal
from training.prediction.tables import header
from training.prediction.workers import Chunk, ChunkPredictor
from training.readers.files import stem_of
from training.readers.inputs import InputOptions, InputText, read_inputs

# Options that do not change the content of a file.
FREE_OPTIONS = ("artifact", "out", "resume", "overwrite", "processes", "chunk", "data")
CHUNK_CHARACTERS = 4_000_000  # from which a chunk has fewer documents


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """An output file, its sources, and the names of its columns."""

    out: Path
    sources: tuple[str, ...]
    reading: InputOptions
    columns: tuple[str, ...]
    chunk: int


def write_predictions(
    file: OutputFile,
    journal: OutputJournal,
    workers: ChunkPredictor,
    on_progress: Callable[[int, int], None],
) -> Committed:
    """Writes what the file lacks and gives it its name; returns its totals.

    ``on_progress`` gets the number of documents and of failed ones after each chunk.

    Raises:
        DataError: a source cannot be read, or is not that of the run that is resumed.
        RunError: a process was killed. What is committed is kept.
    """
    with journal:
        if journal.finished:
            return journal.committed
        before = journal.committed
        if before.bytes == 0:
            begin = header(file.out, (*file.reading.copied, *file.columns, "error"))
            if begin:
                journal.append(begin, documents=0, failed=0, digest="")
        for result in workers.results(_chunks(file, before), file.out, file.columns):
            journal.append(
                result.content,
                documents=result.documents,
                failed=result.failed,
                digest=result.digest,
            )
            on_progress(result.documents, result.failed)
        journal.finish()
    return journal.committed


def _chunks(file: OutputFile, before: Committed) -> Iterator[Chunk]:
    """The chunks behind those that are committed."""
    digest = hashlib.blake2b(digest_size=16)
    inputs = read_inputs(file.sources, file.reading)
    skipped = 0
    while skipped < before.documents and (given := next(inputs, None)) is not None:
        _add(digest, given)
        skipped += 1
    if skipped < before.documents or (skipped and digest.hexdigest() != before.digest):
        raise DataError(
            f"{file.sources[0]}: the {before.documents:,} documents that are done have changed "
            f"since {file.out} was begun; give the same files, or --overwrite without --resume"
        )
    first, texts, fields, characters = skipped, list[str](), list[dict[str, Any]](), 0
    for given in inputs:
        _add(digest, given)
        texts.append(given.text)
        fields.append(given.fields)
        characters += len(given.text)
        if len(texts) == file.chunk or characters >= CHUNK_CHARACTERS:
            yield Chunk(first, texts, fields, digest.hexdigest())
            first, texts, fields, characters = first + len(texts), [], [], 0
    if texts:
        yield Chunk(first, texts, fields, digest.hexdigest())


def _add(digest: Any, given: InputText) -> None:
    digest.update(given.text.encode("utf-8", "surrogatepass"))
    if given.fields:
        digest.update(json.dumps(given.fields, sort_keys=True, default=str).encode())
    digest.update(b"\0")


def identity_of(
    request: PredictionRequest, digests: Mapping[str, str], sources: Sequence[str]
) -> dict[str, Any]:
    """What determines the content of an output file. ``digests``: of the files of the artifact."""
    options = {
        field.name: getattr(request, field.name)
        for field in dataclasses.fields(request)
        if field.name not in FREE_OPTIONS
    }
    plain = {
        name: list(value) if isinstance(value, tuple) else value for name, value in options.items()
    }
    return {**plain, "artifact": dict(digests), "data": list(sources)}


def reading_of(request: PredictionRequest) -> InputOptions:
    """How the sources are read."""
    return InputOptions(request.unit, request.column, request.header, request.copy)


def planned_files(
    out: Path, sources: Sequence[str], *, directory: bool
) -> list[tuple[Path, tuple[str, ...]]]:
    """The output files and their sources: one, or in a directory one for each source.

    Raises:
        DataError: two sources would have the same output file.
    """
    if not directory:
        return [(out, tuple(sources))]
    planned: dict[Path, str] = {}
    for source in sources:
        path = out / (_name_of(source) + ".jsonl")
        if path in planned:
            raise DataError(
                f"{source}: would be written to {path} as {planned[path]} is; rename one, or give "
                "them to separate commands"
            )
        planned[path] = source
    return [(path, (source,)) for path, source in planned.items()]


def _name_of(source: str) -> str:
    name = source.removeprefix("hf:").replace("/", "-").replace(":", "-")
    return name if source.startswith("hf:") else stem_of(source)
