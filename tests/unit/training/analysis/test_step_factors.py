"""The derivation with one unit, compared with autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from model.architecture import LanguageModelArchitecture
from model.networks import LanguageModel
from tests.support.training.analyzed_network import WORDS, draw, network
from training.analysis.networks import steps_by_layer
from training.analysis.step_factors import MAX_STEPS, has_step_factors, step_factors


def one_unit() -> LanguageModel:
    """An Elman network with one unit and random weights, in float64."""
    torch.manual_seed(2)
    architecture = LanguageModelArchitecture(
        cell="elman", vocabulary=WORDS.size, embedding=4, hidden=1, layers=1
    )
    model = LanguageModel(architecture).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model


@pytest.mark.parametrize("length", [8, MAX_STEPS + 6])
def test_the_products_are_the_derivatives_of_autograd(length: int) -> None:
    """dh_T / dh_(t-1) for each of the last steps; the rows are in the order of the text."""
    model, read = one_unit(), draw(length, rows=2)
    factors = step_factors(model, read, WORDS)
    (steps,) = steps_by_layer(model, read.inputs_TB[:, :1])
    states = [step.hidden_BH for step in steps]
    gradients = torch.autograd.grad(states[-1].sum(), states)
    count = min(length, MAX_STEPS)
    assert len(factors) == count
    for factor, state, token in zip(
        factors, states[-count:], read.inputs_TB[-count:, 0], strict=True
    ):
        assert factor.token == WORDS.text_of(int(token))
        assert factor.hidden == pytest.approx(float(state.detach()))
    for factor, gradient in zip(factors[1:], gradients[-count:-1], strict=True):
        assert factor.product == pytest.approx(float(gradient))


def test_only_one_elman_unit_has_factors() -> None:
    """With more units the derivative is a matrix."""
    assert has_step_factors(one_unit())
    assert not has_step_factors(network("elman"))
    assert not has_step_factors(object())
