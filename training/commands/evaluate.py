"""``python -m training evaluate``: metrics of an artifact on data, as a table, JSON and a page."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.artifact import Artifact, load_artifact
from model.calibration import UNCALIBRATED
from model.networks import Classifier, LanguageModel
from training.config.classifier import ClassifierRecipe
from training.config.evaluation import EvaluationRequest
from training.data.examples import encode_examples, labels_of
from training.data.provenance import source_name
from training.data.split_checks import warn_training_files
from training.data.unknown_words import check_unknown_share
from training.data.vocabulary import unknown_share_of_documents
from training.errors import DataError, format_list, suggest
from training.evaluation.classifier import predict
from training.evaluation.classifier_results import ClassifierResults, classifier_results
from training.evaluation.language_model import LanguageModelResults, evaluate_language_model
from training.evaluation.metric_names import (
    CLASSIFIER_DESCRIPTIONS,
    LANGUAGE_MODEL_DESCRIPTIONS,
    MULTI_LABEL_DESCRIPTIONS,
    OMITTED_NOTE,
    OUT_OF_SCOPE_PREFIX,
    UNDERSTATED_NOTE,
    format_name,
    format_value,
    omitted_metrics,
    understated_metrics,
)
from training.evaluation.multi_label.predictions import LabelSetPredictions
from training.evaluation.multi_label.results import MultiLabelResults, multi_label_results
from training.readers.documents import read_documents
from training.readers.encodings import set_encoding
from training.readers.examples import Example, LabelOptions, read_examples
from training.readers.sources import expand_sources
from training.reports.classifier import classifier_sections
from training.reports.html import ReportTable, Section
from training.reports.language_model import language_model_sections
from training.reports.multi_label import multi_label_sections
from training.reports.output import (
    PAGE_FILE,
    RESULTS_FILE,
    reserved_output,
    to_json,
    write_json,
    write_report,
)
from training.reports.plotting import require_matplotlib
from training.runs.history import read_history
from training.runs.progress import Progress
from training.runtime.threads import set_threads

Results = LanguageModelResults | ClassifierResults | MultiLabelResults
FOOTNOTE_MARK = "*"
READING_OPTIONS = ("max_tokens", "truncation")  # of training; they limit the length of a document


def run(request: EvaluationRequest) -> int:
    """Prints a table, writes the JSON file and the page; returns the exit status.

    Raises:
        ArtifactError: the artifact cannot be loaded.
        DataError: the data cannot be read.
        OutputError: ``out`` or ``json`` cannot be written.
    """
    if request.out is not None:
        require_matplotlib("--out")
    with reserved_output(request.out, request.json):
        return _evaluate(request)


def _evaluate(request: EvaluationRequest) -> int:
    set_threads(request.threads)
    set_encoding(request.encoding)
    artifact = load_artifact(request.artifact)
    results: Results
    if isinstance(artifact.network, LanguageModel):
        results = _language_model(artifact, artifact.network, request)
    else:
        results = _classifier(artifact, artifact.network, request)
    warn_training_files(expand_sources(request.data), artifact.manifest.provenance)
    record = {
        "artifact": artifact.manifest.name,
        "data": list(request.data),
        **results.metrics,
        **_reservations(results.metrics),
    }
    if request.json is not None:
        write_json(request.json, record)
    if request.out is not None:
        _write_page(request.out, artifact, request, results, record)
    print(_table(artifact, results.metrics))
    return 0


def _language_model(
    artifact: Artifact, network: LanguageModel, request: EvaluationRequest
) -> LanguageModelResults:
    documents = read_documents(
        expand_sources(request.data),
        unit=request.unit,
        column=request.column,
        header=request.header,
    )
    with Progress("evaluate") as bar:
        results = evaluate_language_model(
            network,
            artifact.tokenizer,
            documents,
            columns=request.lanes,
            history=read_history(request.artifact),
            on_progress=lambda share: bar.update(share, figures={}),
        )
    check_unknown_share(
        "--data",
        results.metrics["unknown_share"],
        documents,
        advice="the metrics say little about such a text; a model by char or bpe has no such words",
    )
    return results


def _classifier(
    artifact: Artifact, network: Classifier, request: EvaluationRequest
) -> ClassifierResults | MultiLabelResults:
    labels, answers = artifact.manifest.labels, artifact.manifest.answers
    multi_label = artifact.manifest.thresholds is not None
    if request.label_separator is not None and not multi_label:
        raise DataError("--label-separator: the model gives one label to a text; leave it out")
    examples: list[Example] = []
    for source in expand_sources(request.data):
        source_examples = read_examples(
            source,
            text_column=request.column,
            label_column=request.label_column,
            header=request.header,
            skip_empty=request.skip_empty,
            label_options=LabelOptions(multi_label, request.label_separator),
        )
        _check_labels(source, source_examples, answers, multi_label=multi_label)
        examples += source_examples
    reading = _reading_options(artifact.manifest.provenance)
    recipe = ClassifierRecipe(**reading, multi_label=multi_label)
    documents = encode_examples(examples, artifact.tokenizer, labels, recipe)
    check_unknown_share(
        "--data",
        unknown_share_of_documents(documents.tokens, artifact.tokenizer),
        (example.text for example in examples),
        advice="the model cannot classify a text whose words it does not know",
    )
    predictions, history = predict(network, documents), read_history(request.artifact)
    calibration = artifact.manifest.calibration or UNCALIBRATED
    if isinstance(predictions, LabelSetPredictions):
        return multi_label_results(
            predictions, examples, labels, calibration=calibration, history=history
        )
    return classifier_results(
        predictions, examples, answers, calibration=calibration, history=history
    )


def _check_labels(
    source: str, examples: Sequence[Example], answers: Sequence[str], *, multi_label: bool
) -> None:
    known = set(answers)
    separator = ", name what is between labels with --label-separator" if multi_label else ""
    for number, example in enumerate(examples, start=1):
        label = next((label for label in example.labels if label not in known), None)
        if label is None:
            continue
        rest = len(labels_of(examples) - known) - 1
        many = f"nor are {rest} other labels" if rest > 1 else "nor is 1 other label"
        others = f" ({many})" if rest else ""
        raise DataError(
            f"{source}, example {number}: the label {label!r} is none of the model's"
            f"{others}: {format_list(answers)}{suggest(label, answers)}; choose the column "
            f"with --label-column{separator}, or correct the labels"
        )


def _write_page(
    out: Path,
    artifact: Artifact,
    request: EvaluationRequest,
    results: Results,
    record: Mapping[str, object],
) -> None:
    """Writes the report directory; its JSON file has ``record`` and the details."""
    if isinstance(results, LanguageModelResults):
        descriptions = LANGUAGE_MODEL_DESCRIPTIONS
        sections = language_model_sections(results)
    elif isinstance(results, MultiLabelResults):
        descriptions, sections = MULTI_LABEL_DESCRIPTIONS, multi_label_sections(results)
    else:
        descriptions, sections = CLASSIFIER_DESCRIPTIONS, classifier_sections(results)
    rows = [
        (format_name(name), _marked_value(name, results.metrics), descriptions.get(name, ""))
        for name in results.metrics
        if not name.startswith(OUT_OF_SCOPE_PREFIX)  # they have a section of their own
    ]
    metrics = Section(
        name="metrics",
        title="Metrics",
        text=" ".join(f"{note}." for note in _footnotes(results.metrics)),
        table=ReportTable(("metric", "value", "meaning"), rows),
    )
    write_report(
        out,
        title=f"{artifact.manifest.name}: evaluation",
        introduction=f"A {artifact.manifest.kind.replace('-', ' ')}, evaluated on "
        f"{', '.join(map(source_name, request.data))}.",
        sections=[metrics, *sections],
        files={RESULTS_FILE: to_json({**record, **results.details()})},
    )
    print(f"page and plots are in {out / PAGE_FILE}", file=sys.stderr)


def _reading_options(provenance: Mapping[str, Any]) -> dict[str, Any]:
    recipe = provenance.get("recipe")
    values = recipe if isinstance(recipe, dict) else {}
    return {name: values[name] for name in READING_OPTIONS if name in values}


def _table(artifact: Artifact, metrics: Mapping[str, float]) -> str:
    """The metrics as text, with footnotes."""
    title = f"{artifact.manifest.name} ({artifact.manifest.kind})"
    rows = [(format_name(name), format_value(name, value)) for name, value in metrics.items()]
    names, values = (max(len(row[i]) for row in rows) for i in (0, 1))
    marks = [FOOTNOTE_MARK * (name in understated_metrics(metrics)) for name in metrics]
    lines = [
        f"  {name:<{names}}  {value:>{values}}{mark}"
        for (name, value), mark in zip(rows, marks, strict=True)
    ]
    return "\n".join([title, *lines, *(f"  {note}" for note in _footnotes(metrics))])


def _marked_value(name: str, metrics: Mapping[str, float]) -> str:
    mark = FOOTNOTE_MARK * (name in understated_metrics(metrics))
    return format_value(name, metrics[name]) + mark


def _footnotes(metrics: Mapping[str, float]) -> list[str]:
    """Notes on metrics that unknown words make too low, and on those that are left out."""
    notes = [f"{FOOTNOTE_MARK} {UNDERSTATED_NOTE}"] if understated_metrics(metrics) else []
    omitted = ", ".join(map(format_name, omitted_metrics(metrics)))
    return [*notes, f"{omitted}: {OMITTED_NOTE}"] if omitted else notes


def _reservations(metrics: Mapping[str, float]) -> dict[str, list[str]]:
    """The names of these metrics for the JSON file; empty if there are none."""
    names = {"understated": understated_metrics(metrics), "left_out": omitted_metrics(metrics)}
    return {kind: metrics for kind, metrics in names.items() if metrics}
