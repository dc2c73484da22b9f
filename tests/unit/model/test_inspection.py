"""The inspection of time steps against torch's modules, and its gradients."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from model.architecture import CELLS, Cell, LanguageModelArchitecture
from model.inspection import CELL_FUNCTIONS, GATE_NAMES, inspect, run_steps
from model.networks import LanguageModel
from model.recurrent import TORCH_MODULES, layer_weights
from model.regularization import Regularization
from model.state import State


def network(cell: str, layers: int = 2) -> LanguageModel:
    """A network in float64 with random weights, a random initial state and strong dropout."""
    torch.manual_seed(layers)
    architecture = LanguageModelArchitecture(
        cell=cell,  # type: ignore[arg-type]
        vocabulary=13,
        embedding=5,
        hidden=7,
        layers=layers,
    )
    model = LanguageModel(architecture, Regularization(input=0.5, hidden=0.5, weight=0.5)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


def torch_state(state: State) -> Tensor | tuple[Tensor, Tensor]:
    """The state in the form of torch's modules."""
    return state.hidden_LBH if state.cell_LBH is None else (state.hidden_LBH, state.cell_LBH)


def assert_exact(actual: Tensor | None, expected: Tensor) -> None:
    """Asserts equality up to the rounding of float64."""
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 3])
def test_states_are_those_of_torch_modules(cell: str, layers: int) -> None:
    """Hidden states of all time steps and final states of all layers equal those of torch."""
    model = network(cell, layers)
    reference = TORCH_MODULES[cell](5, 7, layers).double()
    reference.load_state_dict(model.recurrent.state_dict())
    tokens_TB, state = torch.randint(13, (9, 4)), model.initial_state(4)
    steps_by_layer = inspect(model, tokens_TB, state)
    expected_TBH, last = reference(model.embedding(tokens_TB), torch_state(state))
    hidden_LBH, cell_LBH = last if cell == "lstm" else (last, None)
    top_TBH = torch.stack([step.hidden_BH for step in steps_by_layer[-1]])
    assert_exact(top_TBH, expected_TBH)
    for layer, steps in enumerate(steps_by_layer):
        assert_exact(steps[-1].hidden_BH, hidden_LBH[layer])
        if cell_LBH is not None:
            assert_exact(steps[-1].cell_BH, cell_LBH[layer])


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_state_is_that_of_torch(cell: str) -> None:
    """The cell state of every time step equals that of torch run up to it."""
    model = network(cell)
    tokens_TB = torch.randint(13, (6, 2))
    steps_by_layer = inspect(model, tokens_TB, model.initial_state(2))
    model.eval()
    for steps in range(1, 7):
        _, state = model(tokens_TB[:steps], model.initial_state(2))
        for layer in range(2):
            step = steps_by_layer[layer][steps - 1]
            torch.testing.assert_close(step.hidden_BH, state.hidden_LBH[layer])
            assert (step.cell_BH is None) == (state.cell_LBH is None)
            if step.cell_BH is not None and state.cell_LBH is not None:
                torch.testing.assert_close(step.cell_BH, state.cell_LBH[layer])


@pytest.mark.parametrize("cell", CELLS)
def test_gates_explain_the_states(cell: Cell) -> None:
    """Gates lie between 0 and 1, and the states follow from them."""
    model = network(cell)
    steps = inspect(model, torch.randint(13, (9, 4)), model.initial_state(4))[0]
    for before, step in pairwise(steps):
        assert tuple(step.gates) == GATE_NAMES[cell]
        for gate_BH in step.gates.values():
            assert gate_BH.shape == step.hidden_BH.shape
            assert ((gate_BH > 0) & (gate_BH < 1)).all()
        if cell == "gru":
            kept_BH = step.gates["update"] * before.hidden_BH
            added_BH = (step.hidden_BH - kept_BH) / (1 - step.gates["update"])
            assert (added_BH.abs() < 1).all()
        if step.cell_BH is not None:
            shown_BH = step.gates["output"] * torch.tanh(step.cell_BH)
            torch.testing.assert_close(step.hidden_BH, shown_BH)


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_reach_every_step(cell: str) -> None:
    """The gradient with respect to a state is that of a run from that state."""
    model = network(cell, layers=1)
    tokens_TB = torch.randint(13, (9, 4))
    steps = inspect(model, tokens_TB, model.initial_state(4))[0]
    middle = steps[3]
    (found_BH,) = torch.autograd.grad(steps[-1].hidden_BH.sum(), middle.hidden_BH)
    hidden_BH = middle.hidden_BH.detach().requires_grad_()
    cell_1BH = None if middle.cell_BH is None else middle.cell_BH.detach().unsqueeze(0)
    reference: Any = TORCH_MODULES[cell](5, 7).double()
    reference.load_state_dict(model.recurrent.state_dict())
    state = State(hidden_BH.unsqueeze(0), cell_1BH)
    out_TBH, _ = reference(model.embedding(tokens_TB[4:]), torch_state(state))
    (expected_BH,) = torch.autograd.grad(out_TBH[-1].sum(), hidden_BH)
    torch.testing.assert_close(found_BH, expected_BH)
    assert (found_BH != 0).any()


def test_every_cell_can_be_inspected() -> None:
    """Every cell has a function and names of its gates."""
    assert set(GATE_NAMES) == set(CELL_FUNCTIONS) == set(get_args(Cell))


def test_an_lstm_refuses_a_state_without_cell() -> None:
    """A state without cell states raises ValueError, as in the fused layers."""
    weights = layer_weights(network("lstm").recurrent, "lstm", 0)
    state = State(torch.zeros(1, 1, 7, dtype=torch.float64))
    with pytest.raises(ValueError, match="expected an LSTM state with cell states"):
        run_steps(weights, torch.zeros(1, 1, 5, dtype=torch.float64), state)
