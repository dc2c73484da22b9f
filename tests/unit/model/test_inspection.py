"""The inspection of time steps against torch's modules, and its gradients."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from model.architecture import CELLS, Cell, LanguageModelArchitecture
from model.inspection import CELL_FUNCTIONS, GATE_NAMES, inspect, run_steps, word_gradients
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


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_word_gradients_are_those_of_torch_modules(cell: str, layers: int) -> None:
    """Of the vectors, and of the state at every cut of the text, which torch reads on from."""
    model, target = network(cell, layers).eval(), 3
    reference = TORCH_MODULES[cell](5, 7, layers).double()
    reference.load_state_dict(model.recurrent.state_dict())
    tokens_T, state = torch.randint(13, (6,)), model.initial_state(1)
    found = word_gradients(model, tokens_T, target, state)
    vectors_T1E = model.embedding(tokens_T).detach().unsqueeze(1).requires_grad_()
    for cut in range(6):
        with torch.no_grad():
            start = model.encode(tokens_T[:cut].unsqueeze(1), state).state if cut else state
        parts = (start.hidden_LBH, start.cell_LBH)
        leaves = [part.detach().requires_grad_() for part in parts if part is not None]
        initial = (leaves[0], leaves[1]) if cell == "lstm" else leaves[0]
        top_TBH, _ = reference(vectors_T1E[cut:], initial)
        loss = -model.logits(top_TBH[-1]).log_softmax(dim=1)[0, target]
        gradients = torch.autograd.grad(loss, leaves)
        assert_exact(found.states_S[cut], torch.cat(gradients).norm())
        assert found.loss == pytest.approx(float(loss.detach()))
    top_TBH, _ = reference(vectors_T1E, torch_state(state))
    loss = -model.logits(top_TBH[-1]).log_softmax(dim=1)[0, target]
    (gradient_T1E,) = torch.autograd.grad(loss, vectors_T1E)
    assert_exact(found.vectors_T, gradient_T1E.norm(dim=(1, 2)))
    assert_exact(found.factors_T.prod() * found.states_S[-1], found.states_S[0])


def test_the_factor_of_one_elman_unit_is_that_of_the_derivation() -> None:
    """The absolute value of tanh' W_h, with tanh' = 1 - h^2, at every step."""
    torch.manual_seed(1)
    architecture = LanguageModelArchitecture(
        cell="elman", vocabulary=13, embedding=5, hidden=1, layers=1
    )
    model = LanguageModel(architecture).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    tokens_T, state = torch.arange(8), model.initial_state(1)
    found = word_gradients(model, tokens_T, 2, state)
    hidden_T = model.encode(tokens_T.unsqueeze(1), state).raw_TBH.detach()[:, 0, 0]
    weight = model.recurrent.weight_hh_l0
    assert isinstance(weight, Tensor)
    assert_exact(found.factors_T, ((1 - hidden_T.square()) * weight.detach()).abs()[0])
