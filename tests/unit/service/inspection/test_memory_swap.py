"""Two states that exchange a part of their values."""

from __future__ import annotations

import pytest
import torch

from model.state import State
from service.engine.api.errors import InvalidTask
from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector
from service.inspection.memory_swap import exchange
from service.inspection.queries import ExchangedPart
from service.kernel.api.interface import Sampling

TEXTS = ("The keys", "A dog")
SAMPLING = Sampling(seed=7, temperature=0.9)


def test_the_named_layers_units_and_signals_are_exchanged() -> None:
    """Everything else stays, and the given states are not changed."""
    first = State(torch.zeros(2, 1, 3), torch.zeros(2, 1, 3))
    second = State(torch.ones(2, 1, 3), torch.ones(2, 1, 3))
    one, other = exchange(first, second, ExchangedPart([1], [0, 2], ["cell"]))
    assert one.cell_LBH is not None
    assert other.cell_LBH is not None
    assert one.cell_LBH.tolist() == [[[0, 0, 0]], [[1, 0, 1]]]
    assert other.cell_LBH.tolist() == [[[1, 1, 1]], [[0, 1, 0]]]
    assert one.hidden_LBH.equal(first.hidden_LBH)
    assert float(first.hidden_LBH.sum()) == 0
    whole = exchange(first, second, ExchangedPart())
    assert whole[0].hidden_LBH.equal(second.hidden_LBH)


def test_a_whole_exchange_lets_each_text_go_on_as_the_other(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """Token by token; what is not exchanged is what POST /inspect/generate gives."""
    first, second, first_swapped, second_swapped = inspector.exchange_memories(
        TEXTS, " is", ExchangedPart(), SAMPLING, 20, cancellation
    )
    assert first_swapped == second
    assert second_swapped == first
    alone = inspector.generate(f"{TEXTS[0]} is", inspector.first(), SAMPLING, 20, cancellation)
    assert [token.token for token in first] == [token.token for token in alone]


def test_an_empty_continuation_is_refused(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """The error names the field."""
    with pytest.raises(InvalidTask) as raised:
        inspector.exchange_memories(TEXTS, "", ExchangedPart(), SAMPLING, 1, cancellation)
    assert raised.value.field == "continuation"
