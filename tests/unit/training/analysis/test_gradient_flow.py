"""Gradient flow, compared with closed forms and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.architecture import CELLS, LanguageModelArchitecture
from model.inspection import LayerStep, run_steps
from model.networks import LanguageModel
from model.recurrent import layer_weights
from model.state import State
from training.analysis.clipping_comparison import scale_to_radius
from training.analysis.excerpts import Excerpts
from training.analysis.gradient_flow import (
    additive_jacobians,
    elman_jacobians,
    gradient_flow,
    jacobian_products,
    spectral_radius,
)
from training.analysis.networks import AdditiveLanguageModel, steps_by_layer

LAGS, WIDTH = 12, 6


def network(cell: str, hidden: int = WIDTH, layers: int = 1) -> LanguageModel:
    """A language model with random weights, in float64."""
    torch.manual_seed(3)
    architecture = LanguageModelArchitecture(
        cell=cell,  # type: ignore[arg-type]
        vocabulary=9,
        embedding=5,
        hidden=hidden,
        layers=layers,
    )
    model = LanguageModel(architecture).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.6)
    return model


def without_input(cell: str) -> LanguageModel:
    """A network whose recurrent layers have no input, no bias and a zero initial state."""
    model = network(cell)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "weight_ih" in name or "bias_" in name or "initial" in name:
                parameter.zero_()
    return model


def excerpts(rows: int = 5, steps: int = LAGS + 4) -> Excerpts:
    """Excerpts of random tokens."""
    tokens_TB = torch.randint(9, (steps + 1, rows), generator=torch.Generator().manual_seed(1))
    return Excerpts(tokens_TB[:-1], tokens_TB[1:])


def relative(values: list[float] | None) -> list[float]:
    """Values divided by the first one."""
    assert values is not None
    return [value / values[0] for value in values]


def weight(model: LanguageModel, name: str) -> Tensor:
    """A parameter of the lowest layer."""
    parameter = getattr(model.recurrent, f"{name}_l0")
    assert isinstance(parameter, Tensor)
    return parameter


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5])
def test_a_linear_orthogonal_recurrence_has_the_powers_of_its_scale(scale: float) -> None:
    """Around zero tanh is linear, so measured gradient, both powers and the product agree."""
    model = without_input("elman")
    with torch.no_grad():
        nn.init.orthogonal_(weight(model, "weight_hh")).mul_(scale)
    (flow,) = gradient_flow(model, excerpts(), LAGS)
    expected = [scale**lag for lag in range(LAGS + 1)]
    assert relative(flow.hidden) == pytest.approx(expected)
    assert set(flow.theory) == {
        "jacobian_product",
        "singular_value_power",
        "spectral_radius_power",
    }
    for line in flow.theory.values():
        assert line == pytest.approx(expected)
    assert flow.scalars["spectral_radius"] == pytest.approx(scale)
    assert flow.scalars["largest_singular_value"] == pytest.approx(scale)


@torch.no_grad()
def test_a_single_unit_has_the_product_worked_out_by_hand() -> None:
    """dL_T / dh_(T-k) is dL_T / dh_T times (1 - h^2) w for each step in between."""
    model, read = network("elman", hidden=1), excerpts(rows=3)
    (flow,) = gradient_flow(model, read, LAGS)
    factor = weight(model, "weight_hh").item()
    hidden_TB1 = model.encode(read.inputs_TB, model.initial_state(3)).raw_TBH
    slopes_VB = functional.softmax(model.logits(hidden_TB1[-1]), dim=1).T.clone()
    slopes_VB[read.targets_TB[-1], torch.arange(3)] -= 1.0
    gradient_B = (model.output.weight.T @ slopes_VB)[0].abs()
    for lag in range(LAGS + 1):
        assert flow.hidden[lag] == pytest.approx(float(gradient_B.mean()))
        gradient_B = gradient_B * (1 - hidden_TB1[-1 - lag, :, 0] ** 2) * abs(factor)


def test_products_of_jacobians_are_those_of_autograd() -> None:
    """All entries of dh_T / dh_(T-k) are equal."""
    model, read = network("elman"), excerpts(rows=1)
    steps = steps_by_layer(model, read.inputs_TB)[0]
    recent = steps[: -LAGS - 2 : -1]
    states = [step.hidden_BH for step in recent]
    products = list(jacobian_products(elman_jacobians(weight(model, "weight_hh"), states)))
    assert_products_of_autograd(states, products)


def test_products_of_additive_jacobians_are_those_of_autograd() -> None:
    """dh_t / dh_(t-1) of h + g(h, x) is 1 + dg/dh, and nothing else."""
    torch.manual_seed(3)
    model = AdditiveLanguageModel(vocabulary=9, embedding=5, hidden=WIDTH, recurrent=True).double()
    assert model.weight_HH is not None
    nn.init.normal_(model.weight_HH, std=0.6)
    recent = steps_by_layer(model, excerpts(rows=1).inputs_TB)[0][: -LAGS - 2 : -1]
    states = [step.hidden_BH for step in recent]
    products = list(jacobian_products(additive_jacobians(model.weight_HH, states)))
    assert_products_of_autograd(states, products)
    (flow,) = gradient_flow(model, excerpts(), LAGS)
    assert set(flow.theory) == {"jacobian_product"}
    for measured, product in zip(
        relative(flow.hidden), flow.theory["jacobian_product"], strict=True
    ):
        assert measured <= product * (1 + 1e-9)


def test_the_additive_recurrence_is_the_formula_of_the_lecture() -> None:
    """h_t = h_(t-1) + tanh(W_h h_(t-1) + W_x x_t + b), worked out step by step."""
    torch.manual_seed(3)
    model = AdditiveLanguageModel(vocabulary=9, embedding=5, hidden=WIDTH, recurrent=True).double()
    assert model.weight_HH is not None
    nn.init.normal_(model.weight_HH, std=0.6)
    read = excerpts(rows=2)
    hidden_BH = model.initial_hidden_H.expand(2, -1)
    for tokens_B, state_BH in zip(read.inputs_TB, model.hidden_states(read.inputs_TB), strict=True):
        input_BE = model.embedding.weight[tokens_B]
        change_BH = hidden_BH @ model.weight_HH.T + input_BE @ model.feature.weight.T
        hidden_BH = hidden_BH + torch.tanh(change_BH + model.feature.bias)
        torch.testing.assert_close(state_BH, hidden_BH)


def assert_products_of_autograd(states: list[Tensor], products: list[Tensor]) -> None:
    """The products are the derivatives of the first state, of one row, by each of the states."""
    assert len(products) == LAGS + 1
    for unit in range(WIDTH):
        gradients = torch.autograd.grad(states[0][0, unit], states, retain_graph=True)
        for gradient_BH, product_BHH in zip(gradients, products, strict=True):
            torch.testing.assert_close(gradient_BH[0], product_BHH[0, unit])


@pytest.mark.parametrize("layers", [1, 2])
def test_the_measured_gradient_is_below_its_bounds(layers: int) -> None:
    """The norm of the product bounds G(k) / G(0); the singular value's power bounds the norm."""
    flow = gradient_flow(network("elman", layers=layers), excerpts(rows=40), LAGS)[-1]
    for measured, product, power in zip(
        relative(flow.hidden),
        flow.theory["jacobian_product"],
        flow.theory["singular_value_power"],
        strict=True,
    ):
        assert measured <= product * (1 + 1e-9)
        assert product <= power * (1 + 1e-9)


def test_a_forget_gate_that_never_moves_gives_its_powers() -> None:
    """Without recurrent weights the cell's gradient is the forget gate's power, the hidden's 0."""
    model = without_input("lstm")
    with torch.no_grad():
        weight(model, "weight_hh").zero_()
        weight(model, "bias_ih")[WIDTH : 2 * WIDTH] = 1.0
    (flow,) = gradient_flow(model, excerpts(), LAGS)
    kept = 1 / (1 + math.exp(-1.0))
    expected = [kept**lag for lag in range(LAGS + 1)]
    assert relative(flow.cell) == pytest.approx(expected)
    assert flow.theory["gate_product"] == pytest.approx(expected)
    assert flow.theory["best_gate_product"] == pytest.approx(expected)
    assert flow.hidden[0] > 0
    assert flow.hidden[1:] == [0.0] * LAGS


def test_an_update_gate_that_never_moves_gives_its_powers() -> None:
    """The same holds for a GRU, whose memory is its hidden state."""
    model = without_input("gru")
    with torch.no_grad():
        weight(model, "weight_hh").zero_()
        weight(model, "bias_ih")[WIDTH : 2 * WIDTH] = 2.0
    (flow,) = gradient_flow(model, excerpts(), LAGS)
    kept = 1 / (1 + math.exp(-2.0))
    expected = [kept**lag for lag in range(LAGS + 1)]
    assert flow.cell is None
    assert relative(flow.hidden) == pytest.approx(expected)
    assert flow.theory["gate_product"] == pytest.approx(expected)


def test_a_sum_of_inputs_has_the_same_gradient_at_every_lag() -> None:
    """The gradient does not depend on the weights; both ways of reading give equal states."""
    model = AdditiveLanguageModel(vocabulary=9, embedding=5, hidden=WIDTH, recurrent=False)
    read = excerpts()
    (flow,) = gradient_flow(model, read, LAGS)
    assert flow.hidden == pytest.approx([flow.hidden[0]] * (LAGS + 1))
    assert flow.hidden[0] > 0
    slowly = torch.stack([step.hidden_BH for step in steps_by_layer(model, read.inputs_TB)[0]])
    torch.testing.assert_close(slowly, model.hidden_states(read.inputs_TB))


def loss_from(model: LanguageModel, read: Excerpts, step: LayerStep, position: int) -> float:
    """The loss of the last token if the layer continues from the state of step ``at``."""
    cell_1BH = None if step.cell_BH is None else step.cell_BH.unsqueeze(0)
    values_TBF = model.embedding(read.inputs_TB[position + 1 :])
    state = State(step.hidden_BH.unsqueeze(0), cell_1BH)
    last = run_steps(layer_weights(model.recurrent, model.architecture.cell, 0), values_TBF, state)
    return float(functional.cross_entropy(model.logits(last[-1].hidden_BH), read.targets_TB[-1]))


@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_gradients_agree_with_finite_differences(cell: str) -> None:
    """The gradients are those of finite differences in single entries of the states."""
    model, read, lag, nudge = network(cell), excerpts(rows=1), 5, 1e-5
    (flow,) = gradient_flow(model, read, lag)
    position = len(read.inputs_TB) - 1 - lag
    step = steps_by_layer(model, read.inputs_TB)[0][position]
    for what, measured in (("hidden_BH", flow.hidden), ("cell_BH", flow.cell)):
        if measured is None:
            continue
        squares = 0.0
        for unit in range(WIDTH):
            move_BH = torch.zeros(1, WIDTH, dtype=torch.float64)
            move_BH[0, unit] = nudge
            # A change of the cell state also changes the hidden state of its step.
            up, down = (moved(step, what, sign * move_BH) for sign in (1, -1))
            change = loss_from(model, read, up, position) - loss_from(model, read, down, position)
            squares += (change / (2 * nudge)) ** 2
        assert measured[lag] == pytest.approx(math.sqrt(squares), rel=1e-6)


def moved(step: LayerStep, what: str, move_BH: Tensor) -> LayerStep:
    """The step with its hidden or its cell state moved; h is o tanh(c)."""
    if what == "hidden_BH" or step.cell_BH is None:
        return step._replace(hidden_BH=step.hidden_BH + move_BH)
    cell_BH = step.cell_BH + move_BH
    return step._replace(cell_BH=cell_BH, hidden_BH=step.gates["output"] * torch.tanh(cell_BH))


def test_every_layer_has_a_flow_and_all_excerpts_count() -> None:
    """The mean over batches is the mean over single excerpts."""
    model, read = network("lstm", layers=2), excerpts(rows=40)
    together = gradient_flow(model, read, LAGS)
    assert len(together) == 2
    alone = [gradient_flow(model, part, LAGS) for part in read.split(1)]
    for layer, flow in enumerate(together):
        for lag in (0, 3, LAGS):
            mean = np.mean([flows[layer].hidden[lag] for flows in alone])
            assert flow.hidden[lag] == pytest.approx(mean)
            kept = np.mean([flows[layer].theory["gate_product"][lag] for flows in alone])
            assert flow.theory["gate_product"][lag] == pytest.approx(kept)


def test_recurrent_weights_are_scaled_to_a_spectral_radius() -> None:
    """The spectral radius after scaling is the given one."""
    model = network("elman")
    scale_to_radius(model, 1.5)
    assert spectral_radius(weight(model, "weight_hh")) == pytest.approx(1.5)
