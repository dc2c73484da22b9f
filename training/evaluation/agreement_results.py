"""Which of two sentences a model finds likelier, and how often that is the good one.

A pair with a word that the model does not know says nothing about grammar: it is left out, and
counted. Does not know files or plots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.evaluation.confidence import interval
from training.evaluation.sentence_scores import (
    Continuation,
    SentenceForm,
    log_probabilities,
    unknown_words,
)
from training.readers.minimal_pairs import MinimalPair


@dataclass(slots=True)
class Score:
    """Of so many ``pairs`` that were judged, how many right; and how many were left out."""

    pairs: int = 0
    right: int = 0
    left_out: int = 0

    def add(self, outcome: bool | None) -> None:
        """Counts a pair: right, wrong, or left out."""
        if outcome is None:
            self.left_out += 1
        else:
            self.pairs += 1
            self.right += outcome

    @property
    def accuracy(self) -> float | None:
        """The share that is right; None where no pair was judged."""
        return self.right / self.pairs if self.pairs else None

    def interval(self) -> tuple[float, float]:
        """Where the accuracy lies with 95 % certainty."""
        return interval(self.right, self.pairs)

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {"accuracy": self.accuracy, "pairs": self.pairs, "left_out": self.left_out}


@dataclass(slots=True)
class ConstructionScore:
    """One construction, by condition and by number of attractors where that is told."""

    total: Score = field(default_factory=Score)
    conditions: dict[str, Score] = field(default_factory=dict)
    attractors: dict[int, Score] = field(default_factory=dict)

    def add(self, pair: MinimalPair, outcome: bool | None) -> None:
        """Counts a pair wherever it belongs."""
        self.total.add(outcome)
        if pair.condition:
            self.conditions.setdefault(pair.condition, Score()).add(outcome)
        if pair.attractors is not None:
            self.attractors.setdefault(pair.attractors, Score()).add(outcome)

    def record(self) -> dict[str, Any]:
        """As plain values."""
        conditions = {name: score.record() for name, score in self.conditions.items()}
        return {
            **self.total.record(),
            **({"conditions": conditions} if conditions else {}),
            **({"attractors": _by_count(self.attractors)} if self.attractors else {}),
        }


@dataclass(frozen=True, slots=True)
class AgreementFindings:
    """How a model fares on minimal pairs; ``unknown`` counts pairs by the words they fail on."""

    total: Score
    constructions: dict[str, ConstructionScore]
    attractors: dict[int, Score]
    unknown: Counter[str]

    @property
    def mean_accuracy(self) -> float | None:
        """The mean over those constructions of which any pair was judged."""
        scores = (score.total.accuracy for score in self.constructions.values())
        known = [accuracy for accuracy in scores if accuracy is not None]
        return sum(known) / len(known) if known else None

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **self.total.record(),
            "mean_accuracy_of_constructions": self.mean_accuracy,
            "attractors": _by_count(self.attractors),
            "constructions": {name: part.record() for name, part in self.constructions.items()},
            "unknown_words": dict(self.unknown.most_common(100)),
        }


def judge(
    network: LanguageModel,
    tokenizer: Tokenizer,
    pairs: Sequence[MinimalPair],
    form: SentenceForm,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> AgreementFindings:
    """Reads both sentences of every pair and compares what they cost.

    What the two have in common at their beginning costs the same, and is only read.
    """
    good, bad = (
        tokenizer.encode_batch([form.placed(sentence) for sentence in sentences])
        for sentences in ([pair.good for pair in pairs], [pair.bad for pair in pairs])
    )
    lead = len(tokenizer.encode(form.lead))
    unknown: Counter[str] = Counter()
    judged, continuations = list[int](), list[Continuation]()
    for index, (pair, one, other) in enumerate(zip(pairs, good, bad, strict=True)):
        missing = {
            word
            for sentence, tokens in ((pair.good, one), (pair.bad, other))
            for word in unknown_words(tokens, form.placed(sentence), tokenizer, skip=lead)
        }
        unknown.update(missing)
        if not missing:
            judged.append(index)
            start = _common(one, other)
            continuations += [Continuation(one, start), Continuation(other, start)]
    found = log_probabilities(network, continuations, tokenizer.end, on_progress=on_progress)
    outcomes: list[bool | None] = [None] * len(pairs)
    for index, one_found, other_found in zip(judged, found[::2], found[1::2], strict=True):
        outcomes[index] = one_found > other_found
    return tally(pairs, outcomes, unknown)


def tally(
    pairs: Sequence[MinimalPair], outcomes: Iterable[bool | None], unknown: Counter[str]
) -> AgreementFindings:
    """Counts outcomes (None: left out) by construction and by attractors."""
    total, constructions, attractors = Score(), dict[str, ConstructionScore](), dict[int, Score]()
    for pair, outcome in zip(pairs, outcomes, strict=True):
        total.add(outcome)
        constructions.setdefault(pair.construction, ConstructionScore()).add(pair, outcome)
        if pair.attractors is not None:
            attractors.setdefault(pair.attractors, Score()).add(outcome)
    in_order = {name: constructions[name] for name in sorted(constructions)}
    return AgreementFindings(total, in_order, dict(sorted(attractors.items())), unknown)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens are the same before the first that differ."""
    places = zip(one, other, strict=False)
    shorter = min(len(one), len(other))
    return next((place for place, (a, b) in enumerate(places) if a != b), shorter)


def _by_count(scores: dict[int, Score]) -> dict[str, Any]:
    """JSON's names are strings."""
    return {str(count): scores[count].record() for count in sorted(scores)}
