"""What the page and the tables of ``python -m training agreement`` show of what was found."""

from __future__ import annotations

from itertools import chain

from training.evaluation.agreement_results import AgreementFindings, Score
from training.evaluation.word_probabilities import Trace
from training.reports.agreement_plots import accuracy_plot, trace_plot
from training.reports.html import Section, Table

MOST_UNKNOWN = 8  # words that are named
NOTHING = "–"


def sections(found: AgreementFindings | None, traced: Trace | None) -> list[Section]:
    """The parts of the page, in telling order."""
    parts = []
    if found is not None:
        parts.append(_accuracy(found))
    if traced is not None:
        parts.append(_trace(traced))
    if found is not None:
        parts.append(_conditions(found))
    return [part for part in parts if part.plot is not None or part.table is not None]


def pair_rows(found: AgreementFindings) -> Table:
    """One row for each construction, then their mean and all pairs together."""
    counts = sorted(found.attractors)
    header = ["construction", "pairs", "left out", "accuracy"]
    header += [f"{count} attractor{'' if count == 1 else 's'}" for count in counts]
    rows = [
        _row(name, part.total, [part.attractors.get(count) for count in counts])
        for name, part in found.constructions.items()
    ]
    mean = ["mean of the constructions", "", "", _share(found.mean_accuracy), *[""] * len(counts)]
    total = _row("all pairs", found.total, [found.attractors[count] for count in counts])
    return Table(header, [*rows, mean, total])


def told_left_out(found: AgreementFindings) -> str:
    """How many pairs say nothing, and for want of which words."""
    left_out = found.total.left_out
    every = found.total.pairs + left_out
    if left_out == 0:
        return f"All {every:,} pairs consist of words that the model knows."
    most = ", ".join(f"{w} ({n:,})" for w, n in found.unknown.most_common(MOST_UNKNOWN))
    return (
        f"{left_out:,} of {every:,} pairs ({left_out / every:.0%}) are left out, because the model "
        f"does not know a word of them; the words that are missing most often: {most}."
    )


def trace_rows(traced: Trace) -> Table:
    """One row for each word of the sentence; of two words also how many times as likely."""
    words = list(traced.probabilities)
    columns = [traced.probabilities[word] for word in words]
    header = ["read so far", *(f"P({word})" for word in words)]
    rows = [
        [word, *(f"{values[place]:.2e}" for values in columns)]
        for place, word in enumerate(traced.words)
    ]
    if len(words) == 2:
        header.append(f"{words[0]} : {words[1]}")
        for row, one, other in zip(rows, *columns, strict=True):
            row.append(f"{one / other:.2f}" if other > 0 else NOTHING)
    return Table(header, rows)


def _accuracy(found: AgreementFindings) -> Section:
    return Section(
        name="accuracy",
        title="Accuracy by construction",
        text="How often the good sentence of a pair is likelier than the bad one; chance is one "
        "half. An attractor is a noun of the other number between the subject and the word that "
        "has to agree with it. " + told_left_out(found),
        plot=accuracy_plot(found) if found.total.pairs else None,
        table=pair_rows(found),
    )


def _conditions(found: AgreementFindings) -> Section:
    rows = [
        [name, condition, f"{score.pairs:,}", f"{score.left_out:,}", _share(score.accuracy)]
        for name, part in found.constructions.items()
        for condition, score in part.conditions.items()
    ]
    header = ["construction", "condition", "pairs", "left out", "accuracy"]
    return Section(
        name="conditions",
        title="Accuracy by condition",
        text="Conditions bear the names that the pairs give them: as a rule the number, singular "
        "or plural, of each noun and its verb. Of few pairs an accuracy says little.",
        table=Table(header, rows) if rows else None,
    )


def _trace(traced: Trace) -> Section:
    unknown = ""
    if traced.unknown:
        unknown = f" Unknown to the model, and read over: {', '.join(traced.unknown)}."
    return Section(
        name="trace",
        title="Word by word",
        text="The probability of each of the words "
        f"{', '.join(f'“{word}”' for word in traced.probabilities)} as the next one, after every "
        f"beginning of the sentence.{unknown}",
        plot=trace_plot(traced),
        table=trace_rows(traced),
    )


def _row(name: str, score: Score, by_count: list[Score | None]) -> list[str]:
    parts = chain([score], by_count)
    shares = [_share(part.accuracy if part is not None else None) for part in parts]
    return [name, f"{score.pairs:,}", f"{score.left_out:,}", *shares]


def _share(accuracy: float | None) -> str:
    return NOTHING if accuracy is None else f"{accuracy:.3f}"
