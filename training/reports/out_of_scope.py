"""What the page of an evaluation tells of texts out of scope. Knows what was found, not how."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.out_of_scope_results import OutOfScopeFindings
from training.evaluation.top_errors import WrongDocument
from training.reports.html import Section, Table
from training.reports.out_of_scope_plots import border_plot


def out_of_scope_sections(found: OutOfScopeFindings) -> list[Section]:
    """The figures with what they mean, the plot, and the worst mistakes in both directions."""
    return [_figures(found), _taken_in(found), _turned_away(found)]


def document_table(documents: Sequence[WrongDocument]) -> Table | None:
    """Texts, what they are, what they were taken for and how surely; None where there are none."""
    rows = [
        (document.text, document.truth, document.answer, f"{document.confidence:.1%}")
        for document in documents
    ]
    return Table(("text", "truth", "answer", "confidence"), rows, prose=True) if rows else None


def _figures(found: OutOfScopeFindings) -> Section:
    low, high = found.in_use
    return Section(
        name="out-of-scope",
        title="What belongs to none of the labels",
        text=f"{found.outside:,} of these {found.outside + found.inside:,} texts are out of scope. "
        f"A text is answered {found.answer} where that is likelier than every label, which here "
        f"begins between the probabilities {low:.2f} and {high:.2f}. A client that reads the "
        "probability may draw the border elsewhere: a lower one lets fewer texts in that do not "
        "belong, and turns more away that do.",
        plot=border_plot(found),
        table=_meanings(found),
    )


def _meanings(found: OutOfScopeFindings) -> Table:
    score, answer = found.score, found.answer
    auroc = (
        "how often the classifier is surer of a text in scope than of one out of it, wherever the "
        "border is; 0.5 is chance, 1 is always"
    )
    rows = [
        ("false accept", f"{score.false_accept:.1%}", "of the texts out of scope: got a label"),
        ("recall", f"{score.recall:.1%}", f"of the texts out of scope: were answered {answer}"),
        ("false reject", f"{score.false_reject:.1%}", f"of the others: were answered {answer}"),
        ("accuracy in scope", f"{score.in_scope_accuracy:.1%}", "of the others: got their label"),
        (
            "precision",
            f"{score.precision:.1%}",
            f"of the answers {answer}: are right, at the share of such texts that there is here",
        ),
        ("AUROC", f"{score.auroc:.3f}", auroc),
    ]
    return Table(("figure", "value", "what it says"), rows)


def _taken_in(found: OutOfScopeFindings) -> Section:
    return Section(
        name="taken-in",
        title="Out of scope, but given a label",
        text=_told(found.taken_in, "texts out of scope that were given a label"),
        table=document_table(found.taken_in),
    )


def _turned_away(found: OutOfScopeFindings) -> Section:
    return Section(
        name="turned-away",
        title=f"In scope, but answered {found.answer}",
        text=_told(found.turned_away, f"texts with a label that were answered {found.answer}"),
        table=document_table(found.turned_away),
    )


def _told(documents: Sequence[WrongDocument], which: str) -> str:
    if not documents:
        return f"There are no {which}."
    return f"The {len(documents)} {which} with the greatest confidence."
