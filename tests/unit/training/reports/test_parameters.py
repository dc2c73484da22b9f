"""The table of parameters."""

from __future__ import annotations

import pytest

from model.architecture import CELLS, LanguageModelArchitecture
from model.networks import LanguageModel
from training.reports.parameters import describe_parameters, window_parameters

GATES = {"elman": 1, "gru": 3, "lstm": 4}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("tied", [True, False])
def test_all_parameters_are_counted_once(cell: str, tied: bool) -> None:
    """With the letters of the formulas; gates multiply the rows of W_x, W_h and b."""
    architecture = LanguageModelArchitecture(
        cell=cell,  # type: ignore[arg-type]
        vocabulary=11,
        embedding=4,
        hidden=4 if tied else 6,
        layers=2,
        tied=tied,
    )
    network = LanguageModel(architecture)
    groups = describe_parameters(network)
    assert sum(group.count for group in groups) == sum(p.numel() for p in network.parameters())
    hidden, rows = architecture.hidden, GATES[cell] * architecture.hidden
    shapes = {group.name: (group.letter, group.shape) for group in groups}
    assert shapes["recurrent.weight_ih_l0"] == ("W_x", (rows, 4))
    assert shapes["recurrent.weight_hh_l1"] == ("W_h", (rows, hidden))
    assert shapes["recurrent.bias_hh_l1"] == ("b", (rows,))
    assert shapes["embedding.weight"] == ("E", (11, 4))
    assert ("initial_cell_L1H" in shapes) == (cell == "lstm")
    assert ("output.weight" in shapes) == (not tied)
    assert all(group.letter for group in groups)


def test_a_window_grows_with_its_words() -> None:
    """A weight for each entry of each vector and each unit, and a bias for each unit."""
    architecture = LanguageModelArchitecture(
        cell="gru", vocabulary=11, embedding=4, hidden=6, layers=1
    )
    counts = [window_parameters(LanguageModel(architecture), words) for words in (1, 10)]
    assert counts == [6 * 5, 6 * 41]
