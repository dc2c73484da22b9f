"""What the page of an evaluation shows of a language model. Knows what was found, not how."""

from __future__ import annotations

from collections.abc import Sequence

from training.evaluation.confidence import CERTAINTY
from training.evaluation.language_model_results import LanguageModelFindings
from training.evaluation.token_losses import FEW, Bin
from training.reports.html import Section, Table
from training.reports.language_model_plots import curves_plot, frequency_plot, position_plot, shown
from training.runs.history import History


def sections(found: LanguageModelFindings) -> list[Section]:
    """The parts of the page that have plots, in telling order."""
    parts = [_frequency(found), _position(found)]
    if found.history is not None:
        parts.append(_curves(found.history))
    return parts


def _frequency(found: LanguageModelFindings) -> Section:
    bins = found.frequency.bins
    total = sum(part.tokens * part.loss for part in bins)
    heaviest = max(bins, key=lambda part: part.tokens * part.loss)
    return Section(
        name="loss-by-frequency",
        title="Loss by the frequency of the token",
        text=f"Tokens by the {found.frequency.basis}. The largest share of the loss, "
        f"{heaviest.tokens * heaviest.loss / total:.0%}, comes from those at {heaviest.label}. Of "
        "an unknown word, [UNK], only that it is unknown is predicted, not its spelling; [END] "
        f"closes a document. {_intervals(bins)}",
        plot=frequency_plot(found.frequency, found.figures["loss"]),
        table=_bin_table("tokens of", bins, total),
    )


def _position(found: LanguageModelFindings) -> Section:
    bins = shown(found.position)
    total = sum(part.tokens * part.loss for part in found.position)
    best, last = min(bins, key=lambda part: part.loss), bins[-1]
    return Section(
        name="loss-by-position",
        title="Loss by the position in the document",
        text=f"Lowest at the positions {best.label} ({best.loss:.2f} nats), {last.loss:.2f} at the "
        f"end of what is read ({last.label}). Where what has been read helps, the loss falls along "
        "a document; but documents that begin alike cost least at their beginning, and the "
        f"last positions are those of the longest documents alone. {_intervals(found.position)}",
        plot=position_plot(found.position, found.figures["loss"]),
        table=_bin_table("position", found.position, total),
    )


def _intervals(bins: Sequence[Bin]) -> str:
    few = "" if len(shown(bins)) == len(bins) else f"; fewer than {FEW} stand in the table alone"
    return f"Thin lines are 95% intervals, as if predictions were independent{few}."


def _curves(history: History) -> Section:
    validation = history.validation
    best = validation.values.index(min(validation.values))
    return Section(
        name="training-curves",
        title="The course of the training",
        text=f"Validation loss fell from {validation.values[0]:.3f} at step "
        f"{validation.steps[0]:,} to {validation.values[best]:.3f} at step "
        f"{validation.steps[best]:,}. Training loss is with dropout on, smoothed, and an estimate "
        "where the softmax is sampled: it is not to be compared with the validation loss.",
        plot=curves_plot(history),
    )


def _bin_table(kind: str, bins: Sequence[Bin], total: float) -> Table:
    rows = [
        (
            part.label,
            f"{part.tokens:,}",
            f"{part.loss:.3f}",
            "–" if part.error is None else f"{CERTAINTY * part.error:.3f}",
            f"{part.tokens * part.loss / total:.1%}",
        )
        for part in bins
    ]
    return Table((kind, "predictions", "nats each", "± (95%)", "share of all loss"), rows)
