"""Accuracy of a language model on minimal pairs: whether the good sentence is more probable.

A pair with a word outside the vocabulary is left out and counted, because its probabilities say
nothing about grammar.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.evaluation.confidence import wilson_interval
from training.evaluation.sentence_scores import (
    Continuation,
    SentenceForm,
    score_continuations,
    unknown_words,
)
from training.readers.minimal_pairs import MinimalPair


@dataclass(slots=True)
class PairAccuracy:
    """Counts of the pairs that were scored, of the correct ones, and of those left out."""

    pairs: int = 0
    correct: int = 0
    left_out: int = 0

    def add(self, outcome: bool | None) -> None:
        """Counts one pair: correct, wrong, or left out (None)."""
        if outcome is None:
            self.left_out += 1
        else:
            self.pairs += 1
            self.correct += outcome

    @property
    def accuracy(self) -> float | None:
        """The share of correct pairs; None if no pair was scored."""
        return self.correct / self.pairs if self.pairs else None

    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the accuracy."""
        return wilson_interval(self.correct, self.pairs)

    def record(self) -> dict[str, Any]:
        """The accuracy and the counts as values for JSON."""
        return {"accuracy": self.accuracy, "pairs": self.pairs, "left_out": self.left_out}


@dataclass(slots=True)
class ConstructionAccuracy:
    """Accuracy on one construction, also by condition and by attractors where pairs give them."""

    total: PairAccuracy = field(default_factory=PairAccuracy)
    conditions: dict[str, PairAccuracy] = field(default_factory=dict)
    attractors: dict[int, PairAccuracy] = field(default_factory=dict)

    def add(self, pair: MinimalPair, outcome: bool | None) -> None:
        """Counts one pair."""
        self.total.add(outcome)
        if pair.condition:
            self.conditions.setdefault(pair.condition, PairAccuracy()).add(outcome)
        if pair.attractors is not None:
            self.attractors.setdefault(pair.attractors, PairAccuracy()).add(outcome)

    def record(self) -> dict[str, Any]:
        """The accuracies as values for JSON."""
        conditions = {name: accuracy.record() for name, accuracy in self.conditions.items()}
        return {
            **self.total.record(),
            **({"conditions": conditions} if conditions else {}),
            **({"attractors": _by_count(self.attractors)} if self.attractors else {}),
        }


@dataclass(frozen=True, slots=True)
class AgreementResults:
    """Accuracy on minimal pairs.

    Attributes:
        total: over all pairs.
        constructions: by construction, sorted by name.
        attractors: by number of attractors, over all constructions.
        distances: by number of words before the first one that differs, over all constructions.
        unknown: unknown words, with the number of pairs left out because of them.
    """

    total: PairAccuracy
    constructions: dict[str, ConstructionAccuracy]
    attractors: dict[int, PairAccuracy]
    unknown: Counter[str]
    distances: dict[int, PairAccuracy] = field(default_factory=dict)

    @property
    def mean_accuracy(self) -> float | None:
        """The mean accuracy of the constructions with any scored pair; None if there is none."""
        accuracies = [
            construction.total.accuracy
            for construction in self.constructions.values()
            if construction.total.accuracy is not None
        ]
        return sum(accuracies) / len(accuracies) if accuracies else None

    def record(self) -> dict[str, Any]:
        """The results as values for JSON, with the 100 most frequent unknown words."""
        return {
            **self.total.record(),
            "mean_accuracy_of_constructions": self.mean_accuracy,
            "attractors": _by_count(self.attractors),
            "distances": _by_count(self.distances),
            "constructions": {name: part.record() for name, part in self.constructions.items()},
            "unknown_words": dict(self.unknown.most_common(100)),
        }


def evaluate_agreement(
    network: LanguageModel,
    tokenizer: Tokenizer,
    pairs: Sequence[MinimalPair],
    form: SentenceForm,
    *,
    on_progress: Callable[[float], None] | None = None,
) -> AgreementResults:
    """Compares the log-probabilities of the two sentences of every pair.

    Their common prefix has the same probability in both, so it is read but not scored.

    Args:
        network: in evaluation mode.
        tokenizer: that of the network.
        pairs: minimal pairs.
        form: the form in which sentences are read.
        on_progress: called with the share of sentences that have been read.
    """
    good_tokens, bad_tokens = (
        tokenizer.encode_batch([form.in_context(sentence) for sentence in sentences])
        for sentences in ([pair.good for pair in pairs], [pair.bad for pair in pairs])
    )
    context_length = len(tokenizer.encode(form.context))
    unknown: Counter[str] = Counter()
    scored, continuations = list[int](), list[Continuation]()
    for index, (pair, good, bad) in enumerate(zip(pairs, good_tokens, bad_tokens, strict=True)):
        missing = {
            word
            for sentence, tokens in ((pair.good, good), (pair.bad, bad))
            for word in unknown_words(
                tokens, form.in_context(sentence), tokenizer, skip=context_length
            )
        }
        unknown.update(missing)
        if not missing:
            scored.append(index)
            start = _common_prefix(good, bad)
            continuations += [Continuation(good, start), Continuation(bad, start)]
    scores = score_continuations(network, continuations, tokenizer.end, on_progress=on_progress)
    outcomes: list[bool | None] = [None] * len(pairs)
    for index, good_score, bad_score in zip(scored, scores[::2], scores[1::2], strict=True):
        outcomes[index] = good_score > bad_score
    return count_outcomes(pairs, outcomes, unknown)


def count_outcomes(
    pairs: Sequence[MinimalPair], outcomes: Iterable[bool | None], unknown: Counter[str]
) -> AgreementResults:
    """Counts the outcomes of pairs (None: left out) by construction, attractors and distance."""
    total, distances = PairAccuracy(), dict[int, PairAccuracy]()
    constructions, attractors = dict[str, ConstructionAccuracy](), dict[int, PairAccuracy]()
    for pair, outcome in zip(pairs, outcomes, strict=True):
        total.add(outcome)
        constructions.setdefault(pair.construction, ConstructionAccuracy()).add(pair, outcome)
        if pair.attractors is not None:
            attractors.setdefault(pair.attractors, PairAccuracy()).add(outcome)
        distance = _common_prefix(pair.good.split(), pair.bad.split())
        distances.setdefault(distance, PairAccuracy()).add(outcome)
    by_name = {name: constructions[name] for name in sorted(constructions)}
    return AgreementResults(
        total, by_name, dict(sorted(attractors.items())), unknown, dict(sorted(distances.items()))
    )


def _common_prefix(first: Sequence[object], second: Sequence[object]) -> int:
    """The number of tokens or words before the first difference."""
    tokens = enumerate(zip(first, second, strict=False))
    shorter = min(len(first), len(second))
    return next((index for index, (one, other) in tokens if one != other), shorter)


def _by_count(accuracies: dict[int, PairAccuracy]) -> dict[str, Any]:
    """Keys of JSON objects are strings."""
    return {str(count): accuracies[count].record() for count in sorted(accuracies)}
