"""States and continuations compared."""

from __future__ import annotations

import pytest
import torch

from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector

PREFIX = "The keys to the cabinet"


def test_texts_that_are_equal_differ_nowhere(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """All distances are 0 and last for no token."""
    comparison = inspector.compare_texts(PREFIX, PREFIX, " are", 4, cancellation)
    assert all(unit.first == unit.second for unit in comparison.units)
    assert float(comparison.divergence.distance_TL.abs().max()) == 0.0
    assert comparison.divergence.lasts == 0


def test_the_units_that_differ_most_are_found(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """Units are sorted by difference; distances begin before the continuation."""
    comparison = inspector.compare_texts(PREFIX, "The dogs", " are on", 5, cancellation)
    differences = [abs(unit.first - unit.second) for unit in comparison.units]
    assert differences == sorted(differences, reverse=True)
    states = [
        inspector.read(text, inspector.first(), cancellation) for text in (PREFIX, "The dogs")
    ]
    hidden = [reading.layers[0].hidden_TH[-1] for reading in states]
    largest = max(
        float((hidden[0] - hidden[1]).abs().max()),
        *(abs(unit.first - unit.second) for unit in comparison.units),
    )
    assert differences[0] == pytest.approx(largest)
    length = (hidden[0].norm() + hidden[1].norm()) / 2
    expected = float((hidden[0] - hidden[1]).norm() / length)
    assert float(comparison.divergence.distance_TL[0, 0]) == pytest.approx(expected, rel=1e-5)
    assert len(comparison.divergence.divergence_T) == len(comparison.common) + 1
    assert (comparison.divergence.divergence_T >= -1e-6).all()
    assert (comparison.divergence.divergence_T <= 1 + 1e-6).all()


def test_continuations_are_scored_as_if_read_alone(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """After every token of the prefix, each continuation has the log-probability that reading it
    from there gives, whatever its length.
    """
    continuations = [" are", " it"]
    comparison = inspector.compare_continuations(PREFIX, continuations, cancellation)
    ids = [piece.id for piece in comparison.pieces]
    network, end = inspector.network, inspector.tokenizer.end
    for continuation, logprobs in zip(continuations, comparison.logprobs, strict=True):
        spelled = inspector.tokenizer.encode(continuation)
        for step in (0, 1, len(ids)):
            read_T = torch.tensor([end, *ids[:step], *spelled])
            with torch.no_grad():
                logits_T1V, _ = network(read_T[:-1].unsqueeze(1), network.initial_state(1))
            chosen = logits_T1V[:, 0].log_softmax(dim=1)[range(step, step + len(spelled)), spelled]
            assert logprobs[step] == pytest.approx(float(chosen.sum()), rel=1e-4, abs=1e-4)
