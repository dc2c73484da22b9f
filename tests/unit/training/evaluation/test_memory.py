"""How long differences between texts last."""

from __future__ import annotations

import pytest
import torch

from model.memory.divergence import half_life, relative_distance
from tests.support.training.analyzed_network import TEXT, WORDS, network
from training.data.token_stream import build_stream
from training.errors import DataError
from training.evaluation.memory import PREDICTION, drawn_pairs, given_pair, measure_memory

STREAM = build_stream([TEXT], WORDS)


def test_pairs_of_a_text_differ_in_one_token() -> None:
    """The last token before the common ones, at every place, and in a repeatable way."""
    pairs = drawn_pairs(STREAM, places=20, before=5, length=7, seed=1)
    assert pairs.first_TB.shape == pairs.second_TB.shape == (7, 20)
    assert pairs.common_SB.shape == (7, 20)
    assert (pairs.first_TB[0] == WORDS.end).all()
    assert pairs.first_TB[:-1].equal(pairs.second_TB[:-1])
    assert (pairs.first_TB[-1] != pairs.second_TB[-1]).all()
    assert (pairs.second_TB[1:] != WORDS.end).all()
    again = drawn_pairs(STREAM, places=20, before=5, length=7, seed=1)
    assert all(one.equal(other) for one, other in zip(pairs, again, strict=True))


def test_short_documents_are_refused() -> None:
    """The message names the options."""
    with pytest.raises(DataError, match="lower --before or --length"):
        drawn_pairs(STREAM, places=2, before=5, length=10_000, seed=1)


def test_differences_are_those_of_the_two_texts_read_alone() -> None:
    """Each layer's distance after each token, and units sorted by the difference at the end."""
    model = network("lstm")
    words = [word for text in WORDS.vocabulary() if (word := text.strip()).isalpha()][:5]
    pairs = given_pair(WORDS, f"{words[0]} {words[1]}", words[2], f"{words[3]} {words[4]}")
    results = measure_memory("m", model, WORDS, pairs)
    assert results.tokens == [f" {words[3]}", f" {words[4]}"]
    states = []
    for text_TB in (pairs.first_TB, pairs.second_TB):
        encoded = model.encode(torch.cat([text_TB, pairs.common_SB]), model.initial_state(1))
        states.append(encoded.state)
    for signal, name in (("hidden_LBH", "layer 2"), ("cell_LBH", "layer 2 cell")):
        one_H, other_H = (getattr(state, signal)[1, 0] for state in states)
        expected = float(relative_distance(one_H, other_H).detach())
        assert results.differences[name][-1] == pytest.approx(expected, rel=1e-4)
    assert len(results.differences[PREDICTION]) == 3
    assert len(results.units) == 16
    last = [unit.last for unit in results.units]
    assert last == sorted(last, reverse=True)
    assert results.half_lives["layer 1"] == half_life(results.differences["layer 1"])


def test_equal_texts_have_no_difference() -> None:
    """All differences are 0."""
    results = measure_memory("m", network("gru"), WORDS, given_pair(WORDS, "a", "a", "b"))
    assert set(results.differences) == {"layer 1", "layer 2", PREDICTION}
    assert max(map(max, results.differences.values())) == pytest.approx(0, abs=1e-6)
