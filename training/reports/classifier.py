"""What the page of an evaluation shows of a classifier. Knows what was found, not how."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.classifier_results import ClassifierFindings, Confusion
from training.reports.classifier_plots import (
    PAIRS,
    confusion_plot,
    is_matrix,
    reliability_plot,
    shown_confusions,
)
from training.reports.html import Section, Table
from training.reports.language_model_plots import curves_plot
from training.reports.out_of_scope import document_table, out_of_scope_sections
from training.runs.history import History

ROWS = 25  # labels that a table spells out


def sections(found: ClassifierFindings) -> list[Section]:
    """The parts of the page that have plots or long tables, in telling order."""
    parts = [_confusions(found), _labels(found), _reliability(found), _wrong(found)]
    if found.out_of_scope is not None:
        parts[1:1] = out_of_scope_sections(found.out_of_scope)
    if found.history is not None:
        parts.append(_curves(found.history))
    return parts


def _confusions(found: ClassifierFindings) -> Section:
    wrong = sum(confusion.documents for confusion in found.confusions)
    pairs = shown_confusions(found)
    of = {score.label: score.documents for score in found.labels}
    rows = [
        (part.truth, part.answer, f"{part.documents:,}", f"{part.documents / of[part.truth]:.1%}")
        for part in pairs[:PAIRS]
    ]
    header = ("truth", "answer", "documents", "of all with this truth")
    return Section(
        name="confusions",
        title="Which label is taken for which",
        text=f"{wrong:,} of {found.figures['documents']:,} documents have a wrong answer. "
        + ("" if is_matrix(found) else _pairs_only(found, len(pairs)))
        + _most_often(pairs),
        plot=confusion_plot(found),
        table=Table(header, rows) if rows and not is_matrix(found) else None,
    )


def _most_often(pairs: Sequence[Confusion]) -> str:
    if not pairs:
        return "No label is taken for another."
    first = pairs[0]
    return f"Most often {first.truth} is taken for {first.answer} ({first.documents:,} times)."


def _pairs_only(found: ClassifierFindings, pairs: int) -> str:
    beyond = found.out_of_scope
    others = "" if beyond is None else f" Mistakes about {beyond.answer} have a part of their own."
    return (
        f"With {len(found.labels)} labels a matrix would be unreadable: shown are the "
        f"{min(PAIRS, pairs)} most confused of {pairs} pairs of labels; all stand in figures.json."
        f"{others} "
    )


def _labels(found: ClassifierFindings) -> Section:
    rows = [
        (
            score.label,
            f"{score.f1:.3f}",
            f"{score.recall:.3f}",
            f"{score.precision:.3f}",
            f"{score.documents:,}",
            f"{score.answers:,}",
        )
        for score in found.labels[:ROWS]
    ]
    header = ("label", "F1", "recall", "precision", "documents", "answers")
    shown = "all" if len(found.labels) <= ROWS else f"the {ROWS} lowest of {len(found.labels)}"
    return Section(
        name="labels",
        title="Label by label",
        text=f"Lowest F1 first; {shown} labels. Recall: of the documents that have the label, "
        "those that got it. Precision: of those that got it, those that have it.",
        table=Table(header, rows),
    )


def _reliability(found: ClassifierFindings) -> Section:
    figures = found.figures
    return Section(
        name="reliability",
        title="Does confidence mean what it says?",
        text="Documents by the confidence of their answer: where a bar ends below its red line the "
        "classifier is surer than it is right. Black lines are 95% intervals: a line that the red "
        "one crosses proves nothing. The expected calibration error, the mean distance of both, is "
        f"{figures['calibration_error_before']:.4f} as trained and "
        f"{figures['calibration_error']:.4f} with the temperature "
        f"{found.calibration.temperature:.3f} that was fitted on the validation split.",
        plot=reliability_plot(found),
    )


def _wrong(found: ClassifierFindings) -> Section:
    return Section(
        name="most-wrong",
        title="The most wrong documents",
        text=f"The {len(found.wrong)} mistakes that the classifier was surest of."
        if found.wrong
        else "There is no mistake.",
        table=document_table(found.wrong),
    )


def _curves(history: History) -> Section:
    return Section(
        name="training-curves",
        title="The course of the training",
        text="Training loss is with dropout and label smoothing on, and smoothed over steps: it is "
        "not to be compared with the validation loss.",
        plot=curves_plot(history),
    )
