"""Activations equal those of torch's own layers; clamped units stay where they are held."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.recurrent import TORCH_MODULES
from model.state import State
from service.engine.api.errors import InvalidTask
from service.inspection.activations import LayerActivations, read_tokens, state_at, states_at
from service.inspection.cancellation import Cancellation, InspectionCancelled
from service.inspection.language_model import LanguageModelInspector
from service.inspection.queries import Clamp, HeldSignal

STEPS = 150  # more than two chunks


@pytest.fixture(name="tokens_T")
def tokens(inspector: LanguageModelInspector) -> Tensor:
    """Random tokens."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(inspector.tokenizer.size, (STEPS,), generator=generator)


def test_activations_are_those_of_a_plain_torch_module(
    inspector: LanguageModelInspector, tokens_T: Tensor, cancellation: Cancellation
) -> None:
    """nn.RNN, nn.GRU or nn.LSTM over the same weights gives the same hidden and cell states."""
    network, start = inspector.network, inspector.first().state
    layers = read_tokens(network, tokens_T, start, cancellation)
    a = network.architecture
    module = TORCH_MODULES[a.cell](a.embedding, a.hidden, a.layers)
    module.load_state_dict(network.recurrent.state_dict())
    vectors_T1E = network.embedding(tokens_T).unsqueeze(1)
    before = start.hidden_LBH if start.cell_LBH is None else (start.hidden_LBH, start.cell_LBH)
    with torch.no_grad():
        hidden_T1H, last = module(vectors_T1E, before)
    torch.testing.assert_close(layers[-1].hidden_TH, hidden_T1H[:, 0])
    last_hidden_L1H, last_cell_L1H = last if isinstance(last, tuple) else (last, None)
    after = state_at(layers, -1)
    torch.testing.assert_close(after.hidden_LBH, last_hidden_L1H)
    if last_cell_L1H is not None:
        assert after.cell_LBH is not None
        torch.testing.assert_close(after.cell_LBH, last_cell_L1H, rtol=1e-4, atol=1e-5)


def test_gates_give_the_states_again(
    inspector: LanguageModelInspector, tokens_T: Tensor, cancellation: Cancellation
) -> None:
    """The equations of the cell, with the gates told, lead from each state to the next."""
    start = inspector.first().state
    layers = read_tokens(inspector.network, tokens_T, start, cancellation, gates=True)
    for index, layer in enumerate(layers):
        gates, hidden_TH = layer.gates, layer.hidden_TH
        before_TH = torch.cat([start.hidden_LBH[index], hidden_TH[:-1]])
        if set(gates) == {"candidate"}:
            expected_TH = gates["candidate"]
        elif "update" in gates:
            update_TH = gates["update"]
            expected_TH = (1 - update_TH) * gates["candidate"] + update_TH * before_TH
        else:
            assert layer.cell_TH is not None
            assert start.cell_LBH is not None
            kept_TH = torch.cat([start.cell_LBH[index], layer.cell_TH[:-1]])
            cell_TH = gates["forget"] * kept_TH + gates["input"] * gates["candidate"]
            torch.testing.assert_close(layer.cell_TH, cell_TH, rtol=1e-4, atol=1e-5)
            expected_TH = gates["output"] * torch.tanh(layer.cell_TH)
        torch.testing.assert_close(hidden_TH, expected_TH, rtol=1e-4, atol=1e-5)


def test_a_unit_clamped_where_it_is_changes_nothing(
    inspector: LanguageModelInspector, tokens_T: Tensor, cancellation: Cancellation
) -> None:
    """Step by step with a clamp at the unit's own value, and fused without: the same."""
    start, one_T = inspector.first().state, tokens_T[:1]
    free = read_tokens(inspector.network, one_T, start, cancellation)
    clamp = Clamp(1, 3, float(free[1].hidden_TH[0, 3]))
    held = read_tokens(inspector.network, one_T, start, cancellation, clamps=[clamp])
    for one, other in zip(free, held, strict=True):
        torch.testing.assert_close(one.hidden_TH, other.hidden_TH)


def test_a_clamped_unit_stays_and_moves_others(
    inspector: LanguageModelInspector, tokens_T: Tensor, cancellation: Cancellation
) -> None:
    """A clamped unit has its value after every step and changes the layer above, not that below."""
    start = inspector.first().state
    free = read_tokens(inspector.network, tokens_T, start, cancellation)
    clamps = [Clamp(0, 2, 0.9), Clamp(1, 4, -0.9)]
    held = read_tokens(inspector.network, tokens_T, start, cancellation, clamps=clamps)
    assert (held[0].hidden_TH[:, 2] == 0.9).all()
    assert (held[1].hidden_TH[:, 4] == -0.9).all()
    assert not torch.allclose(free[1].hidden_TH[:, 0], held[1].hidden_TH[:, 0])
    top_only = read_tokens(
        inspector.network, tokens_T, start, cancellation, clamps=[Clamp(1, 4, -0.9)]
    )
    torch.testing.assert_close(free[0].hidden_TH, top_only[0].hidden_TH)


def test_a_clamped_cell_decides_its_hidden_unit(
    inspector: LanguageModelInspector, tokens_T: Tensor, cancellation: Cancellation
) -> None:
    """The hidden state of an LSTM is its output gate times the clamped cell's tanh."""
    if inspector.network.architecture.cell != "lstm":
        pytest.skip("only an LSTM has a cell state")
    start = inspector.first().state
    clamp = Clamp(0, 1, 2.0, "cell")
    layer = read_tokens(
        inspector.network, tokens_T, start, cancellation, clamps=[clamp], gates=True
    )[0]
    assert layer.cell_TH is not None
    assert (layer.cell_TH[:, 1] == 2.0).all()
    expected_T = layer.gates["output"][:, 1] * torch.tanh(torch.tensor(2.0))
    torch.testing.assert_close(layer.hidden_TH[:, 1], expected_T)


def test_states_are_where_reading_goes_on(
    inspector: LanguageModelInspector, tokens_T: Tensor, cancellation: Cancellation
) -> None:
    """Read on from a state in the middle, the rest is the same; several states are rows."""
    network, start = inspector.network, inspector.first().state
    whole = read_tokens(network, tokens_T, start, cancellation)
    rest = read_tokens(network, tokens_T[70:], state_at(whole, 69), cancellation)
    torch.testing.assert_close(whole[-1].hidden_TH[70:], rest[-1].hidden_TH, rtol=1e-4, atol=1e-5)
    rows = states_at(whole, [3, 69])
    assert isinstance(rows, State)
    torch.testing.assert_close(rows.gather([1]).hidden_LBH, state_at(whole, 69).hidden_LBH)


def test_cancelled_work_ends_at_the_next_chunk(
    inspector: LanguageModelInspector, tokens_T: Tensor
) -> None:
    """Fused or step by step, it raises and gives no partial result."""
    cancellation = Cancellation()
    cancellation.cancel()
    start = inspector.first().state
    for clamps in ([], [Clamp(0, 0, 0.0)]):
        with pytest.raises(InspectionCancelled):
            read_tokens(inspector.network, tokens_T, start, cancellation, clamps=clamps)


@torch.no_grad()
def test_a_shut_gate_is_left_out_of_the_formula(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """With its gate at 0 an LSTM's cell is what it wrote in this step alone, and a GRU's state is
    its candidate; with it at 1 the GRU keeps what it had.
    """
    cell = inspector.network.architecture.cell
    tokens_T = torch.tensor([inspector.tokenizer.end, *inspector.tokenizer.encode("The keys")])
    start = inspector.first().state

    def held(signal: HeldSignal, value: float) -> LayerActivations:
        clamps = [Clamp(1, None, value, signal)]
        return read_tokens(
            inspector.network, tokens_T, start, cancellation, clamps=clamps, gates=True
        )[1]

    if cell == "lstm":
        layer = held("forget", 0.0)
        assert layer.cell_TH is not None
        written_TH = layer.gates["input"] * layer.gates["candidate"]
        torch.testing.assert_close(layer.cell_TH, written_TH)
        assert not held("output", 0.0).hidden_TH.any()
    elif cell == "gru":
        layer = held("update", 0.0)
        torch.testing.assert_close(layer.hidden_TH, layer.gates["candidate"])
        kept_TH = held("update", 1.0).hidden_TH
        torch.testing.assert_close(kept_TH, start.hidden_LBH[1].expand_as(kept_TH))
    else:
        layer = held("candidate", 0.5)
        assert (layer.hidden_TH == 0.5).all()


@pytest.mark.parametrize(
    ("clamp", "message"),
    [
        (Clamp(0, 0, 0.0, "cell"), "not cell"),
        (Clamp(0, None, 0.0, "reset"), "not reset"),
        (Clamp(0, 0, 1.5, "candidate"), "between -1 and 1"),
        (Clamp(0, 99, 0.0), "units 0 to"),
    ],
)
def test_what_a_cell_does_not_have_cannot_be_held(
    inspector: LanguageModelInspector, clamp: Clamp, message: str
) -> None:
    """Signals of other cells, values outside the range of a gate, and missing units are refused."""
    cell = inspector.network.architecture.cell
    if (clamp.signal, cell) in (("cell", "lstm"), ("reset", "gru")):
        inspector.check_clamps([clamp])
        return
    with pytest.raises(InvalidTask, match=message):
        inspector.check_clamps([clamp])
