"""``python -m training memory``: for how many tokens a difference between two texts lasts."""

from __future__ import annotations

import sys
from pathlib import Path

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError
from model.networks import LanguageModel
from training.config.inspection import MemoryRequest
from training.data.provenance import unique_names
from training.data.token_stream import build_stream
from training.errors import DataError
from training.evaluation.memory import (
    MemoryResults,
    TextPairs,
    drawn_pairs,
    given_pair,
    measure_memory,
)
from training.readers.documents import read_documents
from training.readers.sources import expand_sources
from training.reports.memory import half_life_table, memory_sections
from training.reports.output import (
    PAGE_FILE,
    RESULTS_FILE,
    reserved_output,
    to_json,
    write_json,
    write_report,
)
from training.reports.plotting import require_matplotlib
from training.runtime.threads import set_threads


def run(request: MemoryRequest) -> int:
    """Prints a table, writes the JSON file and the page; returns the exit status.

    Raises:
        ArtifactError: an artifact cannot be loaded or is a classifier.
        DataError: the text cannot be read or is too short, or a text has no difference.
        OutputError: ``out`` or ``json`` cannot be written.
    """
    if request.out is not None:
        require_matplotlib("--out")
    with reserved_output(request.out, request.json):
        set_threads(request.threads)
        directories = [request.artifact, *map(Path, request.compare)]
        artifacts = [load_artifact(directory) for directory in directories]
        names = unique_names([artifact.manifest.name for artifact in artifacts])
        results = [
            _measure(name, directory, artifact, request)
            for name, directory, artifact in zip(names, directories, artifacts, strict=True)
        ]
        record = {"models": [one.record() for one in results]}
        if request.json is not None:
            write_json(request.json, record)
        if request.out is not None:
            write_report(
                request.out,
                title="Memory of a difference",
                introduction=_introduction(request),
                sections=memory_sections(results),
                files={RESULTS_FILE: to_json(record)},
            )
            print(f"page and plots are in {request.out / PAGE_FILE}", file=sys.stderr)
        print("\n".join(half_life_table(results).lines()))
    return 0


def _measure(
    name: str, directory: Path, artifact: Artifact, request: MemoryRequest
) -> MemoryResults:
    if not isinstance(artifact.network, LanguageModel):
        raise ArtifactError(directory, "is a classifier; memory compares language models")
    pairs = _pairs(artifact, request)
    results = measure_memory(name, artifact.network, artifact.tokenizer, pairs)
    if not any(values[0] > 0 for values in results.differences.values()):
        raise DataError(
            f"{name}: reads both texts as the same tokens; give texts that differ in a word it "
            "knows"
        )
    return results


def _pairs(artifact: Artifact, request: MemoryRequest) -> TextPairs:
    if not request.data:
        texts = (request.first or "", request.second or "", request.then or "")
        return given_pair(artifact.tokenizer, *texts)
    documents = read_documents(
        expand_sources(request.data),
        unit=request.unit,
        column=request.column,
        header=request.header,
    )
    stream = build_stream(list(map(str, documents)), artifact.tokenizer)
    return drawn_pairs(stream, request.places, request.before, request.length, request.seed)


def _introduction(request: MemoryRequest) -> str:
    if request.data:
        return (
            f"At {request.places} places of the text one token is replaced by another of the text; "
            f"{request.before} tokens are read before it, {request.length} after it."
        )
    return f"“{request.first}” and “{request.second}”, then “{request.then}”."
