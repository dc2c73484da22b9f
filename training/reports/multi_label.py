"""Report sections on a multi-label classifier: labels with thresholds, and wrong documents."""

from __future__ import annotations

from training.evaluation.multi_label.results import MultiLabelResults
from training.reports.html import ReportTable, Section
from training.reports.training_curves import CLASSIFIER_NOTE, training_curves_section

MAX_TABLE_LABELS = 50


def multi_label_sections(results: MultiLabelResults) -> list[Section]:
    """The sections of the page, without the table of metrics."""
    sections = [_labels(results), _wrong(results)]
    if results.history is not None:
        sections.append(training_curves_section(results.history, CLASSIFIER_NOTE))
    return sections


def _labels(results: MultiLabelResults) -> Section:
    rows = [
        (
            label.label,
            f"{label.f1:.3f}",
            f"{label.recall:.3f}",
            f"{label.precision:.3f}",
            f"{label.threshold:.3f}",
            f"{label.documents:,}",
            f"{label.answers:,}",
        )
        for label in results.labels[:MAX_TABLE_LABELS]
    ]
    header = ("label", "F1", "recall", "precision", "threshold", "documents", "answers")
    count = len(results.labels)
    shown = "All" if count <= MAX_TABLE_LABELS else f"The {MAX_TABLE_LABELS} lowest of {count}"
    return Section(
        name="labels",
        title="Labels",
        text=f"{shown} labels, in ascending order of F1. A document is given each label whose "
        "probability reaches the label's threshold.",
        table=ReportTable(header, rows),
    )


def _wrong(results: MultiLabelResults) -> Section:
    rows = [
        (
            document.text,
            ", ".join(document.missed),
            ", ".join(document.surplus),
            f"{document.certainty:.3f}",
        )
        for document in results.wrong
    ]
    wrong = results.metrics["documents"] * (1 - results.metrics["subset_accuracy"])
    return Section(
        name="wrong_documents",
        title="Most certain errors",
        text=f"{round(wrong):,} of {results.metrics['documents']:,} documents have other labels "
        "than their own. Certainty is the probability of the worst wrong decision.",
        table=ReportTable(("text", "missed", "surplus", "certainty"), rows) if rows else None,
    )
