"""``python -m training agreement``: whether a language model prefers the grammatical sentence.

Judges minimal pairs, traces how likely words are along a sentence, and prints tables; by option it
writes JSON and a page with plots.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model.artifact import Artifact, load_artifact
from model.errors import ArtifactError
from model.networks import LanguageModel
from training.data.corpus import expanded
from training.data.provenance import source_name
from training.errors import RecipeError
from training.evaluation.agreement_results import AgreementFindings, judge
from training.evaluation.sentence_scores import SentenceForm, stands_apart
from training.evaluation.word_probabilities import Trace, trace
from training.readers.minimal_pairs import read_pairs
from training.readers.sources import is_unicode
from training.reports.agreement import pair_rows, sections, told_left_out, trace_rows
from training.reports.html import PAGE, Table, write_folder
from training.reports.output import reserved, write_json
from training.reports.plotting import require_matplotlib
from training.runs.progress import Progress
from training.runtime.threads import set_threads


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementRequest:
    """What is asked; ``before``, ``capitalize`` and ``full_stop`` as in ``SentenceForm``."""

    artifact: Path
    pairs: tuple[str, ...] = ()
    trace: str | None = None
    words: str | None = None
    before: str = "."
    capitalize: bool = True
    full_stop: bool = False
    threads: int | None = None
    json_file: Path | None = None
    out: Path | None = None


def run(request: AgreementRequest) -> int:
    """Prints what it finds and writes what is asked for; the exit status.

    Raises:
        ArtifactError, DataError, OutputError, RecipeError: each with a message for the person who
            asked.
        OSError: a file cannot be written.
    """
    words = _check(request)
    with reserved(request.out, request.json_file):
        return _measure(request, words)


def _measure(request: AgreementRequest, words: Sequence[str]) -> int:
    set_threads(request.threads)
    artifact, network = _language_model(request.artifact)
    form = _form(artifact, request)
    traced = None
    if request.trace is not None:
        traced = trace(network, artifact.tokenizer, request.trace, words, form)
    found = _judged(artifact, network, request, form) if request.pairs else None
    record = {
        "artifact": artifact.manifest.name,
        "pairs_files": list(request.pairs),
        "sentence_form": asdict(form),
        **({} if found is None else found.record()),
        **({} if traced is None else {"trace": traced.record()}),
    }
    if request.json_file is not None:
        write_json(request.json_file, record)
    if request.out is not None:
        _write_page(request, artifact, form, found, traced, record)
    print(f"{artifact.manifest.name}: {_told(form)}")
    _print(found, traced)
    return 0


def _check(request: AgreementRequest) -> list[str]:
    """The words of --words; refuses what cannot be done before anything is read."""
    for option in ("trace", "words", "before"):
        text: str | None = getattr(request, option)
        if text is not None and not is_unicode(text):
            raise RecipeError(f"--{option}: is not valid text; give it in UTF-8")
    words = [word.strip() for word in (request.words or "").split(",") if word.strip()]
    if request.trace is not None and not words:
        raise RecipeError("--words: give the words to follow along --trace, as in --words are,is")
    if request.trace is None and request.words is not None:
        raise RecipeError("--words: are followed along a sentence; give it to --trace")
    if not request.pairs and request.trace is None:
        raise RecipeError("--pairs: give files of minimal pairs, or a sentence to --trace")
    if request.out is not None:
        require_matplotlib("--out")
    return list(dict.fromkeys(words))


def _language_model(directory: Path) -> tuple[Artifact, LanguageModel]:
    artifact = load_artifact(directory)
    if not isinstance(artifact.network, LanguageModel):
        raise ArtifactError(directory, "is a classifier; agreement is measured on language models")
    return artifact, artifact.network


def _form(artifact: Artifact, request: AgreementRequest) -> SentenceForm:
    return SentenceForm(
        before=request.before,
        capitalize=request.capitalize,
        full_stop=request.full_stop,
        apart=stands_apart(artifact.tokenizer),
    )


def _judged(
    artifact: Artifact, network: LanguageModel, request: AgreementRequest, form: SentenceForm
) -> AgreementFindings:
    pairs = read_pairs(expanded(request.pairs))
    with Progress("agreement") as bar:
        return judge(
            network,
            artifact.tokenizer,
            pairs,
            form,
            on_progress=lambda share: bar.update(share, figures={}),
        )


def _told(form: SentenceForm) -> str:
    read = f"sentences are read after {form.before!r}" if form.before else "sentences are read bare"
    first = "with a capital first letter" if form.capitalize else "with their first letter as it is"
    last = ", a full stop added" if form.full_stop else ""
    return f"{read}, {first}{last}"


def _print(found: AgreementFindings | None, traced: Trace | None) -> None:
    if found is not None:
        print("\n".join(_aligned(pair_rows(found))))
        print(told_left_out(found))
    if traced is not None:
        print("\n".join(_aligned(trace_rows(traced))))
        if traced.unknown:
            print(f"unknown to the model, and read over: {', '.join(traced.unknown)}")


def _aligned(table: Table) -> list[str]:
    """The first column flush left, the others flush right."""
    rows = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [f"  {_line(row, widths)}" for row in rows]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = f"{row[0]:<{widths[0]}}"
    rest = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
    return "  ".join([first, *rest]).rstrip()


def _write_page(
    request: AgreementRequest,
    artifact: Artifact,
    form: SentenceForm,
    found: AgreementFindings | None,
    traced: Trace | None,
    record: dict[str, Any],
) -> None:
    assert request.out is not None
    data = f"Pairs of {', '.join(map(source_name, request.pairs))}; " if request.pairs else ""
    write_folder(
        request.out,
        title=f"{artifact.manifest.name}: agreement",
        introduction=f"{data}{_told(form)}.",
        sections=sections(found, traced),
        figures=record,
    )
    print(f"page and plots are in {request.out / PAGE}", file=sys.stderr)
