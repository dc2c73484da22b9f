"""Rows of the race: a symbol, fillers, a question."""

from __future__ import annotations

import numpy as np

from training.analysis.race.recall_task import FILLERS, QUESTION, SYMBOLS, draw_recall


def test_the_answer_is_the_symbol_at_the_distance() -> None:
    """The symbol is ``distance`` steps before the question, and no filler is a symbol."""
    rows = draw_recall(200, 5, np.random.default_rng(1))
    assert rows.inputs_TB.shape == rows.targets_TB.shape == (6, 200)
    assert rows.inputs_TB[0].equal(rows.targets_TB[-1])
    assert set(rows.inputs_TB[0].tolist()) == set(range(SYMBOLS))
    assert set(rows.inputs_TB[1:-1].flatten().tolist()) == set(range(SYMBOLS, SYMBOLS + FILLERS))
    assert set(rows.inputs_TB[-1].tolist()) == {QUESTION}


def test_the_shortest_distance_has_no_filler() -> None:
    """The question follows the symbol."""
    rows = draw_recall(3, 1, np.random.default_rng(1))
    assert rows.inputs_TB.shape == (2, 3)
