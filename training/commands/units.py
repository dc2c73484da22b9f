"""``python -m training units``: units of a language model that follow something in a text."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from model.artifact import load_artifact
from model.errors import ArtifactError
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from model.units.markings import MARKINGS
from training.config.inspection import UnitsRequest
from training.errors import DataError
from training.evaluation.units.plate import unit_plate
from training.evaluation.units.search import UnitSearch, search_units
from training.readers.documents import read_documents
from training.readers.sources import expand_sources
from training.reports.html import Section
from training.reports.output import (
    PAGE_FILE,
    RESULTS_FILE,
    reserved_output,
    to_json,
    write_json,
    write_report,
)
from training.reports.plotting import require_matplotlib
from training.reports.units import plate_section, search_section, units_note, units_table
from training.runs.progress import Progress
from training.runtime.threads import set_threads

PLATE_CHARACTERS, PLATE_BEFORE = 320, 600  # of the held-out text: shown, and read before
PLATE_STARTS = 40  # places of the held-out text that are tried


def run(request: UnitsRequest) -> int:
    """Prints a table, writes the JSON file and the page with plates; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be loaded or is a classifier.
        DataError: the text cannot be read or is too short.
        OutputError: ``out`` or ``json`` cannot be written.
    """
    if request.out is not None:
        require_matplotlib("--out")
    with reserved_output(request.out, request.json):
        set_threads(request.threads)
        artifact = load_artifact(request.artifact)
        network = artifact.network
        if not isinstance(network, LanguageModel):
            raise ArtifactError(request.artifact, "is a classifier; units reads language models")
        texts = _halves(request)
        with Progress("units") as bar:
            search = search_units(
                network,
                artifact.tokenizer,
                texts,
                request.threshold,
                lambda share: bar.update(share, figures={}),
            )
        record = {"artifact": artifact.manifest.name, **search.record()}
        if request.json is not None:
            write_json(request.json, record)
        if request.out is not None:
            write_report(
                request.out,
                title=f"{artifact.manifest.name}: units",
                introduction=f"Activations at {search.tokens:,} tokens.",
                sections=[
                    search_section(search),
                    *_plates(network, artifact.tokenizer, texts[1], search, request.plates),
                ],
                files={RESULTS_FILE: to_json(record)},
            )
            print(f"page and plates are in {request.out / PAGE_FILE}", file=sys.stderr)
        print("\n".join(units_table(search).lines()))
        print(units_note(search))
    return 0


def _halves(request: UnitsRequest) -> tuple[str, str]:
    """The first ``characters`` of the text, and as many after them."""
    documents = read_documents(
        expand_sources(request.data),
        unit=request.unit,
        column=request.column,
        header=request.header,
    )
    text = _beginning(map(str, documents), 2 * request.characters)
    middle = len(text) // 2
    line_end = text.find("\n", middle)
    if 0 <= line_end < middle + middle // 2:
        middle = line_end + 1
    if not text:
        raise DataError("--data: holds no text")
    return text[:middle], text[middle:]


def _beginning(documents: Iterable[str], characters: int) -> str:
    parts, length = list[str](), 0
    for document in documents:
        parts.append(document if document.endswith("\n") else f"{document}\n")
        length += len(parts[-1])
        if length >= characters:
            break
    return "".join(parts)[:characters]


def _plates(
    network: LanguageModel, tokenizer: Tokenizer, text: str, search: UnitSearch, count: int
) -> list[Section]:
    """Plates of the units with the largest correlation, on the held-out text."""
    sections = []
    for score in search.best[:count]:
        if abs(score.held_out) < search.threshold:
            break
        start = _most_varied(text, score.marking)
        before = text[max(0, start - PLATE_BEFORE) : start]
        skip = len(tokenizer.encode(before))
        plate = unit_plate(
            network,
            tokenizer,
            before + text[start : start + PLATE_CHARACTERS],
            layer=score.layer,
            unit=score.unit,
            signal=score.signal,
            skip=skip,
        )
        sections.append(plate_section(score, plate))
    return sections


def _most_varied(text: str, marking: str) -> int:
    """The beginning of a line from which on the marking varies the most, of some lines."""
    values = MARKINGS[marking](text)
    ends = [index + 1 for index, character in enumerate(text) if character == "\n"]
    starts = [s for s in [0, *ends] if s + PLATE_CHARACTERS <= len(text)] or [0]
    step = max(1, len(starts) // PLATE_STARTS)
    return max(starts[::step], key=lambda s: float(values[s : s + PLATE_CHARACTERS].std()))
