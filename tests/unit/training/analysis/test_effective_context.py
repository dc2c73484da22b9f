"""Loss by context length."""

from __future__ import annotations

import pytest
import torch

from tests.support.training.analyzed_network import WORDS, draw, network
from training.analysis.effective_context import ContextLosses, context_lengths, effective_context
from training.analysis.networks import hidden_states


def test_context_lengths_end_with_the_longest() -> None:
    """Short lengths are closer together than long ones."""
    assert context_lengths(1) == [1]
    assert context_lengths(12) == [1, 2, 3, 5, 7, 10, 12]
    assert context_lengths(150) == [1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150]


def test_a_network_without_output_weights_uses_no_context() -> None:
    """Without output weights the loss is equal for all context lengths."""
    model = network("elman")
    with torch.no_grad():
        model.output.weight.zero_()
    shares = list[float]()
    context = effective_context(model, draw(21), shares.append)
    assert context.excesses == pytest.approx([0.0] * len(context.tokens), abs=1e-7)
    assert context.tokens[-1] == 20
    assert context.needed(0.01) == 1
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_losses_are_those_of_reading_the_last_tokens_alone() -> None:
    """Each excerpt alone, from [END] on, has the loss of the batch."""
    model, read = network(), draw(21, rows=3)
    context = effective_context(model, read, lambda _: None)
    with torch.no_grad():
        for place, tokens in enumerate(context.tokens):
            losses = []
            for row in range(3):
                given = [WORDS.end, *read.targets_TB[-1 - tokens : -1, row].tolist()]
                logits_1V = model.logits(hidden_states(model, torch.tensor([given]).T)[-1])
                losses.append(-logits_1V.log_softmax(1)[0, read.targets_TB[-1, row]])
            assert context.losses[place] == pytest.approx(
                float(torch.stack(losses).mean()), rel=1e-5
            )
    assert context.excesses[-1] == 0.0
    assert context.errors[-1] == 0.0
    assert context.errors[0] > 0.0


def test_the_context_needed_is_where_the_loss_stays_low() -> None:
    """A low loss that rises again with more context does not count."""
    context = ContextLosses([1, 2, 5, 10], [3.0] * 4, [0.5, 0.005, 0.02, 0.0], [0.1] * 4)
    assert context.needed(0.01) == 10
    assert context.needed(0.03) == 2
    assert context.needed(1.0) == 1


def test_context_that_does_harm_is_found() -> None:
    """Where the loss given the longest context is higher by more than chance, and only there."""
    rising = ContextLosses([1, 2, 5], [1.9, 1.7, 2.3], [-0.4, -0.6, 0.0], [0.1, 0.1, 0.0])
    assert rising.best == 1
    by_chance = ContextLosses([1, 2, 5], [1.9, 1.7, 2.3], [-0.4, -0.6, 0.0], [0.1, 0.3, 0.0])
    assert by_chance.best is None
    falling = ContextLosses([1, 2, 5], [2.3, 1.9, 1.7], [0.6, 0.2, 0.0], [0.1, 0.1, 0.0])
    assert falling.best is None
