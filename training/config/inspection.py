"""Options of the commands that look inside artifacts: words, describe."""
# ruff: noqa: RUF009 - the calls make fields

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from training.config.options import check_values, option
from training.config.shared_options import (
    artifact_option,
    count_option,
    json_option,
    out_option,
    seed_option,
    threads_option,
)


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
