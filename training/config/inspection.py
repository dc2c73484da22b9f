"""Options of the commands that look into artifacts: words, describe, units, memory, export."""
# ruff: noqa: RUF009 - the calls make fields

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.config.options import check_values, option
from training.config.shared_options import (
    artifact_option,
    column_option,
    count_option,
    header_option,
    json_option,
    out_option,
    seed_option,
    threads_option,
    unit_option,
)
from training.errors import RecipeError


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsRequest:
    """Options of ``words``."""

    artifact: Path = artifact_option()
    words: tuple[str, ...] = option(
        ..., "words of the vocabulary to look up", metavar="WORD", positional=True
    )
    compare: tuple[str, ...] = option(
        (), "further models whose vectors are shown beside those of ARTIFACT", metavar="DIR"
    )
    vectors: str | None = option(
        None, "file of given word vectors to show beside them, as for lm", metavar="FILE"
    )
    random: bool = option(False, "also show vectors as they are before training")
    neighbors: int = count_option(5, "number of nearest words by the cosine of their vectors")
    threads: int | None = threads_option()
    seed: int = seed_option()
    json: Path | None = json_option()
    out: Path | None = out_option()

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRequest:
    """Options of ``describe``."""

    artifact: Path = artifact_option()
    json: Path | None = json_option()

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsRequest:
    """Options of ``units``."""

    artifact: Path = artifact_option()
    data: tuple[str, ...] = option(
        ..., "text to read, of which one half is searched and one held out", metavar="FILE"
    )
    unit: Literal["file", "paragraph", "line"] = unit_option()
    column: str | None = column_option()
    header: bool | None = header_option()
    characters: int = count_option(30_000, "characters of each half", at_most=1_000_000)
    threshold: float = option(
        0.5,
        "correlation on the held-out half from which on a unit follows something",
        metavar="X",
        above=0,
        at_most=1,
    )
    plates: int = option(4, "number of plates on the page", metavar="N", at_least=0)
    threads: int | None = threads_option()
    json: Path | None = json_option()
    out: Path | None = out_option()

    def __post_init__(self) -> None:
        check_values(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRequest:
    """Options of ``memory``."""

    artifact: Path = artifact_option()
    compare: tuple[str, ...] = option(
        (), "further language models, which read the same texts", metavar="DIR"
    )
    first: str | None = option(None, "a text", metavar="TEXT")
    second: str | None = option(None, "a text that differs from it", metavar="TEXT")
    then: str | None = option(None, "the words that follow both", metavar="TEXT")
    data: tuple[str, ...] = option(
        (),
        "text instead, in which one token is replaced by another at many places",
        metavar="FILE",
    )
    unit: Literal["file", "paragraph", "line"] = unit_option()
    column: str | None = column_option()
    header: bool | None = header_option()
    places: int = count_option(64, "places of --data over which is averaged", at_most=4096)
    before: int = count_option(50, "tokens of --data that are read before them", at_most=10_000)
    length: int = count_option(40, "tokens of --data after them", at_most=10_000)
    threads: int | None = threads_option()
    seed: int = seed_option()
    json: Path | None = json_option()
    out: Path | None = out_option()

    def __post_init__(self) -> None:
        check_values(self)
        texts = {"--first": self.first, "--second": self.second, "--then": self.then}
        if self.data and any(text is not None for text in texts.values()):
            raise RecipeError("--data: replaces --first, --second and --then; leave one side out")
        missing = [name for name, text in texts.items() if not (text or "").strip()]
        if missing and not self.data:
            raise RecipeError(
                f"{missing[0]}: expected a text; give --first, --second and --then, or --data"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """Options of ``export``."""

    artifact: Path = artifact_option()
    onnx: Path = option(
        ...,
        "file to write, ending in .onnx; its description is written beside it, ending in .json",
        metavar="FILE",
    )
    overwrite: bool = option(False, "replace files that exist")

    def __post_init__(self) -> None:
        check_values(self)
