"""``python -m training evaluate``: measures an artifact on data: a table, JSON, a page of plots."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.artifact import Artifact, load_artifact
from model.calibration import UNCALIBRATED
from model.networks import Classifier, LanguageModel
from training.config.classifier import ClassifierRecipe
from training.data.corpus import expanded
from training.data.examples import encode_examples
from training.data.provenance import source_name
from training.data.split_checks import tell_files_of_training
from training.data.unknown_words import check_known
from training.data.vocabulary import unknown_share
from training.errors import DataError
from training.evaluation.classifier import predict
from training.evaluation.classifier_results import ClassifierFindings
from training.evaluation.classifier_results import findings as classifier_findings
from training.evaluation.language_model import evaluate_language_model
from training.evaluation.language_model_results import LanguageModelFindings
from training.evaluation.language_model_results import findings as language_model_findings
from training.evaluation.metric_names import (
    LEFT_OUT,
    OF_CLASSIFIERS,
    OF_LANGUAGE_MODELS,
    OUT_OF_SCOPE,
    UNDERSTATED,
    format_name,
    format_value,
    left_out,
    understated,
)
from training.naming import listed, nearest
from training.readers.documents import Example, Unit, read_documents, read_examples
from training.reports.classifier import sections as classifier_sections
from training.reports.html import PAGE, Section, Table, write_folder
from training.reports.language_model import sections as language_model_sections
from training.reports.output import reserved, write_json
from training.reports.plotting import require_matplotlib
from training.runs.history import read_history
from training.runs.progress import Progress
from training.runtime.threads import set_threads

Findings = LanguageModelFindings | ClassifierFindings
MARK = "*"
READ_AS_TRAINED = ("max_tokens", "truncation")  # options that decide what of a document is read


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """What is to be measured on what; ``lanes`` as in ``evaluate_language_model``."""

    artifact: Path
    data: tuple[str, ...]
    unit: Unit = "file"
    column: str | None = None
    label_column: str | None = None
    header: bool | None = None
    skip_empty: bool = False
    lanes: int | None = None
    threads: int | None = None
    json_file: Path | None = None
    out: Path | None = None


def run(request: EvaluationRequest) -> int:
    """Prints a table, writes the JSON file and the page that are asked for; the exit status.

    Raises:
        ArtifactError, DataError, OutputError: the artifact, the data or --out cannot be used.
        OSError: a file cannot be written.
    """
    if request.out is not None:
        require_matplotlib("--out")
    with reserved(request.out, request.json_file):
        return _measure(request)


def _measure(request: EvaluationRequest) -> int:
    set_threads(request.threads)
    artifact = load_artifact(request.artifact)
    found: Findings
    if isinstance(artifact.network, LanguageModel):
        found = _language_model(artifact, artifact.network, request)
    else:
        found = _classifier(artifact, artifact.network, request)
    tell_files_of_training(expanded(request.data), artifact.manifest.provenance)
    record = {
        "artifact": artifact.manifest.name,
        "data": list(request.data),
        **found.figures,
        **_reservations(found.figures),
    }
    if request.json_file is not None:
        write_json(request.json_file, record)
    if request.out is not None:
        _write_page(request.out, artifact, request, found, record)
    print(_table(artifact, found.figures))
    return 0


def _language_model(
    artifact: Artifact, network: LanguageModel, request: EvaluationRequest
) -> LanguageModelFindings:
    documents = read_documents(
        expanded(request.data), unit=request.unit, column=request.column, header=request.header
    )
    with Progress("evaluate") as bar:
        measured = evaluate_language_model(
            network,
            artifact.tokenizer,
            documents,
            lanes=request.lanes,
            on_progress=lambda share: bar.update(share, figures={}),
        )
    check_known(
        "--data",
        measured.figures["unknown_share"],
        documents,
        advice="the figures say little about such a text; a model by char or bpe has no such words",
    )
    history = read_history(request.artifact)
    return language_model_findings(measured, artifact.tokenizer, history)


def _classifier(
    artifact: Artifact, network: Classifier, request: EvaluationRequest
) -> ClassifierFindings:
    labels, answers = artifact.manifest.labels, artifact.manifest.answers
    examples: list[Example] = []
    for source in expanded(request.data):
        found = read_examples(
            source,
            text_column=request.column,
            label_column=request.label_column,
            header=request.header,
            skip_empty=request.skip_empty,
        )
        _check_labels(source, found, answers)
        examples += found
    recipe = ClassifierRecipe(**_reading_options(artifact.manifest.provenance))
    documents = encode_examples(examples, artifact.tokenizer, labels, recipe)
    check_known(
        "--data",
        unknown_share(documents.tokens, artifact.tokenizer),
        (example.text for example in examples),
        advice="the model cannot tell much of a text whose words it does not know",
    )
    return classifier_findings(
        predict(network, documents),
        examples,
        answers,
        calibration=artifact.manifest.calibration or UNCALIBRATED,
        history=read_history(request.artifact),
    )


def _check_labels(source: str, examples: Sequence[Example], answers: Sequence[str]) -> None:
    known = set(answers)
    for number, example in enumerate(examples, start=1):
        if example.label in known:
            continue
        rest = len({example.label for example in examples} - known) - 1
        many = f"nor are {rest} other labels" if rest > 1 else "nor is 1 other label"
        others = f" ({many})" if rest else ""
        raise DataError(
            f"{source}, example {number}: the label {example.label!r} is none of the model's"
            f"{others}: {listed(answers)}{nearest(example.label, answers)}; choose the column "
            "with --label-column, or correct the labels"
        )


def _write_page(
    out: Path,
    artifact: Artifact,
    request: EvaluationRequest,
    found: Findings,
    record: Mapping[str, object],
) -> None:
    """``record`` is what the JSON file holds; the one of the page has the details as well."""
    if isinstance(found, LanguageModelFindings):
        meanings, sections = OF_LANGUAGE_MODELS, language_model_sections(found)
    else:
        meanings, sections = OF_CLASSIFIERS, classifier_sections(found)
    rows = [
        (format_name(name), _marked(name, found.figures), meanings.get(name, ""))
        for name in found.figures
        if not name.startswith(OUT_OF_SCOPE)  # they have a part of their own
    ]
    table = Table(("figure", "value", "what it says"), rows)
    text = " ".join(f"{note}." for note in _footnotes(found.figures))
    first = Section(name="figures", title="Figures", text=text, table=table)
    write_folder(
        out,
        title=f"{artifact.manifest.name}: {artifact.manifest.kind.replace('-', ' ')}, evaluated",
        introduction=f"Measured on {', '.join(map(source_name, request.data))}.",
        sections=[first, *sections],
        figures={**record, **found.details()},
    )
    print(f"page and plots are in {out / PAGE}", file=sys.stderr)


def _reading_options(provenance: Mapping[str, Any]) -> dict[str, Any]:
    recipe = provenance.get("recipe")
    values = recipe if isinstance(recipe, dict) else {}
    return {name: values[name] for name in READ_AS_TRAINED if name in values}


def _table(artifact: Artifact, figures: Mapping[str, float]) -> str:
    title = f"{artifact.manifest.name} ({artifact.manifest.kind})"
    rows = [(format_name(name), format_value(name, value)) for name, value in figures.items()]
    names, values = (max(len(row[i]) for row in rows) for i in (0, 1))
    marks = [MARK * (name in understated(figures)) for name in figures]
    lines = [
        f"  {name:<{names}}  {value:>{values}}{mark}"
        for (name, value), mark in zip(rows, marks, strict=True)
    ]
    return "\n".join([title, *lines, *(f"  {note}" for note in _footnotes(figures))])


def _marked(name: str, figures: Mapping[str, float]) -> str:
    return format_value(name, figures[name]) + MARK * (name in understated(figures))


def _footnotes(figures: Mapping[str, float]) -> list[str]:
    """What is to be said about figures that unknown words make too low."""
    notes = [f"{MARK} {UNDERSTATED}"] if understated(figures) else []
    missing = ", ".join(map(format_name, left_out(figures)))
    return [*notes, f"{missing}: {LEFT_OUT}"] if missing else notes


def _reservations(figures: Mapping[str, float]) -> dict[str, list[str]]:
    """The same for programs; nothing where there is nothing to say."""
    found = {"understated": understated(figures), "left_out": left_out(figures)}
    return {name: values for name, values in found.items() if values}
