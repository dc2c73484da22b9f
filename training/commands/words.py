"""``python -m training words``: vectors of words, their nearest words, and a map."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import Tensor

from model.artifact import Artifact, load_artifact
from model.embeddings import embedding_matrix, words_of
from model.errors import UnknownWordError
from model.networks import word_vectors
from model.tokenization.tokenizer import Tokenizer
from model.words.word_map import WordMap, map_words
from training.config.inspection import WordsRequest
from training.data.provenance import unique_names
from training.errors import RecipeError, suggest
from training.readers.vector_files import read_vectors
from training.reports.output import (
    PAGE_FILE,
    RESULTS_FILE,
    reserved_output,
    to_json,
    write_json,
    write_report,
)
from training.reports.plotting import require_matplotlib
from training.reports.word_map import word_map_section, word_table
from training.runtime.threads import set_threads

GIVEN, RANDOM = "given", "random"


def run(request: WordsRequest) -> int:
    """Prints a table, writes the JSON file and the page; returns the exit status.

    Raises:
        ArtifactError: an artifact cannot be loaded.
        DataError: the vectors cannot be read.
        OutputError: ``out`` or ``json`` cannot be written.
        RecipeError: a word is not in a vocabulary.
    """
    if request.out is not None:
        require_matplotlib("--out")
    with reserved_output(request.out, request.json):
        set_threads(request.threads)
        maps = _maps(request)
        record = {"vectors": [one.record() for one in maps]}
        if request.json is not None:
            write_json(request.json, record)
        if request.out is not None:
            write_report(
                request.out,
                title="Word vectors",
                introduction=f"Vectors of {', '.join(request.words)}.",
                sections=[word_map_section(maps)],
                files={RESULTS_FILE: to_json(record)},
            )
            print(f"page and plots are in {request.out / PAGE_FILE}", file=sys.stderr)
        print("\n".join(word_table(maps).lines()))
    return 0


def _maps(request: WordsRequest) -> list[WordMap]:
    """The vectors before training and the given ones, then those of the artifacts."""
    directories = [request.artifact, *map(Path, request.compare)]
    artifacts = [load_artifact(directory) for directory in directories]
    names = unique_names([artifact.manifest.name for artifact in artifacts])
    first = artifacts[0]
    sets: list[tuple[str, Tensor, Artifact]] = []
    if request.random:
        torch.manual_seed(request.seed)
        width = first.network.architecture.embedding
        sets.append((RANDOM, word_vectors(first.tokenizer.size, width).weight, first))
    if request.vectors is not None:
        sets.append((GIVEN, _given(request.vectors, first, request.seed), first))
    sets += [
        (name, artifact.network.embedding.weight, artifact)
        for name, artifact in zip(names, artifacts, strict=True)
    ]
    return [
        _map(name, vectors_VE, artifact.tokenizer, request) for name, vectors_VE, artifact in sets
    ]


def _map(name: str, vectors_VE: Tensor, tokenizer: Tokenizer, request: WordsRequest) -> WordMap:
    try:
        return map_words(name, vectors_VE, tokenizer, request.words, request.neighbors)
    except UnknownWordError as error:
        known = sorted({text.strip() for text in tokenizer.vocabulary()})
        hint = f"{suggest(error.word, known)}; give words of its vocabulary"
        raise RecipeError(f"{error}{hint}") from error


def _given(file: str, artifact: Artifact, seed: int) -> Tensor:
    """The vectors of a file for the vocabulary of the artifact; words without one get zeros."""
    tokenizer = artifact.tokenizer
    vectors = read_vectors(Path(os.path.expandvars(file)), words_of(tokenizer))
    if not vectors:
        return torch.zeros(tokenizer.size, 1)
    width = len(next(iter(vectors.values())))
    generator = torch.Generator().manual_seed(seed)
    matrix_VE, _ = embedding_matrix(tokenizer, vectors, width, generator)
    for token, text in enumerate(tokenizer.vocabulary()):
        if text.strip() not in vectors and text.strip().lower() not in vectors:
            matrix_VE[token] = 0.0
    return matrix_VE
