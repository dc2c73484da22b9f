"""Options of ``python -m training predict``."""
# ruff: noqa: RUF009 - the calls make fields

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.config.options import MAX_THREADS, check_values, option
from training.config.shared_options import (
    MAX_SEED,
    artifact_option,
    column_option,
    count_option,
    header_option,
    share_option,
)

Answer = Literal["score", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """Options of ``predict``."""

    artifact: Path = artifact_option()
    data: tuple[str, ...] = option(
        ..., "files to read (also compressed), or hf:NAME[:SPLIT]", metavar="FILE"
    )
    out: Path = option(
        ...,
        "file to write (.jsonl or .csv, also with .gz), or a directory for one .jsonl file for "
        "each file of --data",
        metavar="FILE",
    )
    resume: bool = option(False, "continue a run that was stopped; finished files are kept")
    overwrite: bool = option(False, "replace files that exist")
    unit: Literal["file", "paragraph", "line"] = option("line", "document unit of a text file")
    column: str | None = column_option()
    header: bool | None = header_option()
    copy: tuple[str, ...] = option(
        (), "columns of the records to write beside the results", metavar="NAME"
    )
    top: int | None = count_option(
        None,
        "classifiers: also write this many labels with their probabilities",
        unset="only the likeliest",
    )
    answer: Answer = option(
        "score", "language models: the score of each document, or a text that continues it"
    )
    end: bool = option(False, "scores: include the end of the document")
    max_tokens: int = count_option(20, "texts: most tokens to generate", at_most=100_000)
    temperature: float = option(
        1.0, "texts: 0 selects the likeliest token", metavar="X", at_least=0, at_most=100
    )
    top_k: int = option(0, "texts: sample from the k likeliest tokens; 0: all", at_least=0)
    top_p: float = option(
        1.0,
        "texts: sample from the fewest tokens whose mass reaches this",
        metavar="X",
        above=0,
        at_most=1,
    )
    min_p: float = share_option(
        0.0, "texts: sample from tokens of at least this fraction of the largest probability"
    )
    seed: int = option(
        1,
        "texts: seed of the first document; that of each further one is 1 more",
        metavar="N",
        at_least=0,
        at_most=MAX_SEED,
    )
    precision: Literal["int8", "float32"] = option(
        "int8", "arithmetic of the native kernel, as in the service"
    )
    processes: int | None = count_option(
        None,
        "number of processes that compute",
        unset="one for each processor",
        at_most=MAX_THREADS,
    )
    chunk: int = count_option(
        16_384, "documents of a process at a time; a stopped run repeats those in work"
    )

    def __post_init__(self) -> None:
        check_values(self)
