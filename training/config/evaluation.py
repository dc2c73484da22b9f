"""Options of ``python -m training evaluate`` and ``python -m training agreement``."""
# ruff: noqa: RUF009 - the calls make fields

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from training.config.options import check_values, option
from training.config.shared_options import (
    artifact_option,
    check_label_separator,
    count_option,
    encoding_option,
    header_option,
    json_option,
    label_separator_option,
    out_option,
    threads_option,
    unit_option,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """Options of ``evaluate``."""

    artifact: Path = artifact_option()
    data: tuple[str, ...] = option(
        ..., "files to measure on (also compressed), or hf:NAME[:SPLIT]", metavar="FILE"
    )
    unit: Literal["file", "paragraph", "line"] = unit_option()
    column: str | None = option(
        None,
        "text column, by name or by number from 1",
        metavar="NAME",
        unset='"text", or the only choice left',
        aliases=("text_column",),
    )
    label_column: str | None = option(
        None,
        "label column, by name or by number from 1",
        metavar="NAME",
        unset='"label", or the only choice left',
    )
    label_separator: str | None = label_separator_option()
    header: bool | None = header_option()
    encoding: str | None = encoding_option()
    skip_empty: bool = option(False, "leave out records without a text or a label")
    lanes: int | None = count_option(
        None,
        "number of columns of text that a language model reads in parallel; 1: exact",
        unset="by the length of the text",
    )
    threads: int | None = threads_option()
    json: Path | None = json_option()
    out: Path | None = out_option()

    def __post_init__(self) -> None:
        check_values(self)
        check_label_separator(self.label_separator)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRequest:
    """Options of ``agreement``."""

    artifact: Path = artifact_option()
    pairs: tuple[str, ...] = option(
        (),
        "minimal pairs: .tsv (construction, condition, good, bad) or BLiMP's .jsonl, also "
        "compressed",
        metavar="FILE",
    )
    trace: str | None = option(
        None,
        "beginning of a sentence along which the probabilities of --words are plotted, and the "
        "gradient of the first of them at each word",
        metavar="SENTENCE",
    )
    words: str | None = option(
        None, "words of --trace with commas between, as in are,is", metavar="WORD,WORD"
    )
    compare: tuple[str, ...] = option(
        (), "further language models to --trace beside ARTIFACT", metavar="DIR"
    )
    before: str = option(
        ".", 'text before each sentence, which is not scored; "" for none', metavar="TEXT"
    )
    capitalize: bool = option(True, "begin each sentence with a capital letter")
    full_stop: bool = option(False, "end each sentence with a full stop")
    threads: int | None = threads_option()
    json: Path | None = json_option()
    out: Path | None = out_option()

    def __post_init__(self) -> None:
        check_values(self)
