"""The recurrent state: rows are copied, moved and joined without changing others."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.architecture import CELLS, LanguageModelArchitecture
from model.state import State

LAYERS, HIDDEN = 2, 3


def random_state(cell: str, batch: int) -> State:
    """A state of ``batch`` rows with distinct values."""
    shape = (LAYERS, batch, HIDDEN)
    return State(torch.randn(shape), torch.randn(shape) if cell == "lstm" else None)


def rows_of(state: State) -> list[list[float]]:
    """The values of each row by layer, cell states last."""
    parts = [state.hidden_LBH] + ([] if state.cell_LBH is None else [state.cell_LBH])
    return torch.cat(parts).transpose(0, 1).flatten(1).tolist()


@pytest.mark.parametrize("cell", CELLS)
def test_zeros_have_the_shape_of_the_architecture(cell: str) -> None:
    """A state of zeros has shape (layers, rows, hidden), with cell states for LSTM only."""
    architecture = LanguageModelArchitecture(
        cell=cell,  # type: ignore[arg-type]
        vocabulary=5,
        embedding=4,
        hidden=HIDDEN,
        layers=LAYERS,
    )
    state = State.zeros(architecture, 7)
    assert state.batch == 7
    assert state.hidden_LBH.shape == (LAYERS, 7, HIDDEN)
    assert (state.cell_LBH is not None) == (cell == "lstm")
    assert state.nbytes == LAYERS * 7 * HIDDEN * 4 * (2 if cell == "lstm" else 1)


@pytest.mark.parametrize("cell", CELLS)
@given(rows=st.lists(st.integers(0, 4), max_size=8))
def test_gather_takes_rows_in_order(cell: str, rows: list[int]) -> None:
    """Gathering copies the given rows, also repeated ones."""
    state = random_state(cell, 5)
    before = rows_of(state)
    taken = state.gather(rows)
    assert rows_of(taken) == [before[row] for row in rows]
    taken.hidden_LBH.fill_(9.0)
    assert rows_of(state) == before


@pytest.mark.parametrize("cell", CELLS)
@given(rows=st.lists(st.integers(0, 4), unique=True, max_size=5))
def test_scatter_changes_only_its_rows(cell: str, rows: list[int]) -> None:
    """Scattering overwrites the given rows in place and no others."""
    state, source = random_state(cell, 5), random_state(cell, len(rows))
    expected, new = rows_of(state), rows_of(source)
    for row, values in zip(rows, new, strict=True):
        expected[row] = values
    state.scatter(rows, source)
    assert rows_of(state) == expected


@pytest.mark.parametrize("cell", CELLS)
def test_stack_inverts_layer(cell: str) -> None:
    """A state equals the stack of its layers."""
    state = random_state(cell, 4)
    again = State.stack([state.layer(index) for index in range(LAYERS)])
    assert rows_of(again) == rows_of(state)


@pytest.mark.parametrize("cell", CELLS)
def test_select_chooses_row_by_row(cell: str) -> None:
    """Selected rows come from the other state, the rest from this one."""
    state, other = random_state(cell, 3), random_state(cell, 3)
    chosen = state.select(torch.tensor([True, False, True]), other)
    mine, theirs = rows_of(state), rows_of(other)
    assert rows_of(chosen) == [theirs[0], mine[1], theirs[2]]


@pytest.mark.parametrize("cell", CELLS)
def test_expand_copies_the_only_row(cell: str) -> None:
    """Expanding gives equal rows that do not share memory."""
    state = random_state(cell, 1)
    many = state.expand(3)
    many.hidden_LBH[:, 0] = 0.0
    assert rows_of(many)[1] == rows_of(many)[2] == rows_of(state)[0]


def test_detach_leaves_the_graph() -> None:
    """A detached state has the same values and requires no gradient."""
    state = State(torch.ones(1, 1, 2, requires_grad=True) * 2)
    assert state.hidden_LBH.requires_grad
    assert not state.detach().hidden_LBH.requires_grad
