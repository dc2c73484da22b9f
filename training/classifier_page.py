"""What the page of an evaluation shows of a classifier. Knows what was found, not how."""

from __future__ import annotations

from training.classifier_findings import ClassifierFindings, Confusion
from training.classifier_plots import (
    LARGEST_MATRIX,
    PAIRS,
    confusion_plot,
    out_of_scope_plot,
    reliability_plot,
)
from training.language_model_plots import curves_plot
from training.page import Section, Table
from training.run_history import History

ROWS = 25  # labels and pairs that a table spells out


def sections(found: ClassifierFindings) -> list[Section]:
    """The parts of the page that have plots or long tables, in telling order."""
    parts = [_confusions(found), _labels(found), _reliability(found), _wrong(found)]
    if "out_of_scope_auroc" in found.figures:
        parts.insert(1, _out_of_scope(found))
    if found.history is not None:
        parts.append(_curves(found.history))
    return parts


def _confusions(found: ClassifierFindings) -> Section:
    wrong = sum(confusion.documents for confusion in found.confusions)
    text = (
        f"{wrong:,} of {found.figures['documents']:,} documents have a wrong answer. "
        + _told(found.confusions)
        + ("" if len(found.labels) <= LARGEST_MATRIX else _pairs_only(found))
    )
    rows = [(part.truth, part.answer, f"{part.documents:,}") for part in found.confusions[:ROWS]]
    return Section(
        name="confusions",
        title="Which label is taken for which",
        text=text,
        plot=confusion_plot(found),
        table=Table(("truth", "answer", "documents"), rows) if rows else None,
    )


def _told(confusions: list[Confusion]) -> str:
    if not confusions:
        return "No label is taken for another. "
    first = confusions[0]
    return f"Most often {first.truth} is taken for {first.answer} ({first.documents:,} times). "


def _pairs_only(found: ClassifierFindings) -> str:
    pairs = len(found.confusions)
    return (
        f"With {len(found.labels)} labels a matrix would be unreadable: shown are the "
        f"{min(PAIRS, pairs)} most confused of {pairs} pairs; all stand in figures.json."
    )


def _out_of_scope(found: ClassifierFindings) -> Section:
    figures, beyond = found.figures, found.calibration.out_of_scope
    name = "" if beyond is None else beyond.label
    return Section(
        name="out-of-scope",
        title="What belongs to none of the labels",
        text=f"Of the texts out of scope {figures['out_of_scope_recall']:.1%} were answered "
        f"{name}; the others, {figures['out_of_scope_false_accept']:.1%}, got a label by mistake. "
        f"Of the texts that have a label {figures['out_of_scope_false_reject']:.1%} were answered "
        f"{name} by mistake, and {figures['out_of_scope_in_scope_accuracy']:.1%} got their own. "
        f"An answer {name} is right in {figures['out_of_scope_precision']:.1%} of the cases here. "
        "Wherever the border is drawn: of a text in scope and one out of it the classifier is less "
        f"sure of the latter with the probability {figures['out_of_scope_auroc']:.3f} (area under "
        "the ROC curve).",
        plot=out_of_scope_plot(found),
    )


def _labels(found: ClassifierFindings) -> Section:
    rows = [
        (
            score.label,
            f"{score.documents:,}",
            f"{score.answers:,}",
            f"{score.precision:.3f}",
            f"{score.recall:.3f}",
            f"{score.f1:.3f}",
        )
        for score in found.labels[:ROWS]
    ]
    header = ("label", "documents", "answers", "precision", "recall", "F1")
    shown = "all" if len(found.labels) <= ROWS else f"the {ROWS} lowest of {len(found.labels)}"
    return Section(
        name="labels",
        title="Label by label",
        text=f"Lowest F1 first; {shown} labels.",
        table=Table(header, rows),
    )


def _reliability(found: ClassifierFindings) -> Section:
    figures = found.figures
    return Section(
        name="reliability",
        title="Does confidence mean what it says?",
        text="Documents by the confidence of their answer: where a bar ends below its red line the "
        "classifier is surer than it is right. The expected calibration error is "
        f"{figures['calibration_error_before']:.4f} as trained and "
        f"{figures['calibration_error']:.4f} with the temperature "
        f"{found.calibration.temperature:.3f} that was fitted on the validation split.",
        plot=reliability_plot(found),
    )


def _wrong(found: ClassifierFindings) -> Section:
    rows = [
        (document.text, document.truth, document.answer, f"{document.confidence:.3f}")
        for document in found.wrong
    ]
    return Section(
        name="most-wrong",
        title="The most wrong documents",
        text=f"The {len(rows)} mistakes that the classifier was surest of."
        if rows
        else "There is no mistake.",
        table=Table(("text", "truth", "answer", "confidence"), rows) if rows else None,
    )


def _curves(history: History) -> Section:
    return Section(
        name="training-curves",
        title="The course of the training",
        text="Training loss is with dropout and label smoothing on, and smoothed over steps: it is "
        "not to be compared with the validation loss.",
        plot=curves_plot(history),
    )
