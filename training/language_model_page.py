"""What the page of an evaluation shows of a language model. Knows what was found, not how."""

from __future__ import annotations

from collections.abc import Sequence

from training.language_model_findings import LanguageModelFindings
from training.language_model_plots import CERTAINTY, curves_plot, frequency_plot, position_plot
from training.page import Section, Table
from training.run_history import History
from training.token_losses import Bin


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
        text=f"Tokens by the {found.frequency.basis}. The heaviest part is {heaviest.label}, with "
        f"{heaviest.tokens * heaviest.loss / total:.0%} of all loss. Of an unknown word, [UNK], "
        "only that it is unknown is predicted, not its spelling; [END] closes a document.",
        plot=frequency_plot(found.frequency, found.figures["loss"]),
        table=_bin_table("tokens of", bins, total),
    )


def _position(found: LanguageModelFindings) -> Section:
    total = sum(part.tokens * part.loss for part in found.position)
    return Section(
        name="loss-by-position",
        title="Loss by the position in the document",
        text="The further into a document, the more the model has read. Bars are 95 % intervals; "
        "where few documents are read, the first positions are few and say little.",
        plot=position_plot(found.position, found.figures["loss"]),
        table=_bin_table("position", found.position, total),
    )


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
    return Table((kind, "predictions", "nats each", "± (95 %)", "share of all loss"), rows)
