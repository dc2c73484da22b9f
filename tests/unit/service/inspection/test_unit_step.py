"""The arithmetic of one unit, beside the formulas worked out from the raw weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector
from service.inspection.unit_step import UnitStep

TEXT = "The keys to the"
TOKEN = 6
UNIT = 5


def sigmoid(value: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-value))


def parameter(inspector: LanguageModelInspector, name: str) -> Tensor:
    """One tensor of the recurrent layers by torch's name."""
    return dict(inspector.network.recurrent.named_parameters())[name].detach()


def by_formula(step: UnitStep, cell: str) -> float:
    """The new hidden value from the sums of the terms, by the formulas of the lecture."""
    sums = {
        term.letter: (term.read + term.read_bias, term.recalled + term.recalled_bias)
        for term in step.terms
    }
    if cell == "elman":
        return math.tanh(sum(sums["h"]))
    if cell == "gru":
        r, z = sigmoid(sum(sums["r"])), sigmoid(sum(sums["z"]))
        g = math.tanh(sums["g"][0] + r * sums["g"][1])
        return z * step.hidden_before + (1 - z) * g
    assert step.cell_before is not None
    i, f, o = (sigmoid(sum(sums[letter])) for letter in "ifo")
    return o * math.tanh(f * step.cell_before + i * math.tanh(sum(sums["g"])))


@pytest.mark.parametrize("layer", [0, 1])
def test_terms_combine_to_the_hidden_value(
    inspector: LanguageModelInspector, cancellation: Cancellation, layer: int
) -> None:
    """In every cell and layer: the written-out formula of the terms is the activation."""
    piece, step = inspector.unit_step(TEXT, TOKEN, layer, UNIT, cancellation)
    reading = inspector.read(TEXT, inspector.first(), cancellation)
    expected = reading.layers[layer].hidden_TH[:, UNIT].tolist()
    assert piece == reading.pieces[TOKEN]
    assert step.hidden_before == pytest.approx(expected[TOKEN], abs=1e-5)
    assert step.hidden == pytest.approx(expected[TOKEN + 1], abs=1e-5)
    cell = inspector.network.architecture.cell
    assert by_formula(step, cell) == pytest.approx(step.hidden, abs=1e-5)


def test_terms_are_products_of_the_raw_weights(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """W_x x and W_h h of each part are the rows of torch's weights times x and h."""
    _, step = inspector.unit_step(TEXT, TOKEN, 0, UNIT, cancellation)
    reading = inspector.read(TEXT, inspector.first(), cancellation)
    x_E = inspector.network.embedding(torch.tensor(reading.pieces[TOKEN].id)).detach()
    before_H = reading.layers[0].hidden_TH[TOKEN]
    for part, term in enumerate(step.terms):
        row = part * len(before_H) + UNIT
        products = [
            float(parameter(inspector, "weight_ih_l0")[row] @ x_E),
            float(parameter(inspector, "weight_hh_l0")[row] @ before_H),
            float(parameter(inspector, "bias_ih_l0")[row]),
            float(parameter(inspector, "bias_hh_l0")[row]),
        ]
        assert [*term[1:5]] == pytest.approx(products, abs=1e-5)


def test_the_last_token_is_the_default(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """Without an index the step that reads the last token is shown."""
    last = len(inspector.pieces(TEXT, "text")) - 1
    assert inspector.unit_step(TEXT, None, 1, 0, cancellation) == inspector.unit_step(
        TEXT, last, 1, 0, cancellation
    )
