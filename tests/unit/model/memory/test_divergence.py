"""Distances of states, divergence of predictions, and half-lives."""

from __future__ import annotations

import pytest
import torch

from model.memory.divergence import half_life, jensen_shannon, relative_distance


def test_a_distance_is_relative_to_the_mean_length() -> None:
    """Opposite states are 2 apart, and two zero states 0."""
    one_BH = torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    other_BH = torch.tensor([[0.0, 4.0], [-1.0, -1.0], [0.0, 0.0]])
    assert relative_distance(one_BH, other_BH).tolist() == pytest.approx([5 / 3.5, 2.0, 0.0])


def test_the_divergence_is_between_0_and_1_bit() -> None:
    """Equal predictions have 0, predictions of different tokens 1; others the mean of two KLs."""
    certain_BV = torch.tensor([[50.0, -50.0], [0.0, 0.0]])
    other_BV = torch.tensor([[-50.0, 50.0], [0.0, torch.log(torch.tensor(3.0))]])
    p, q = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
    mean = (p + q) / 2
    expected = float(((p * (p / mean).log2()).sum() + (q * (q / mean).log2()).sum()) / 2)
    assert jensen_shannon(certain_BV, other_BV).tolist() == pytest.approx([1.0, expected], rel=1e-4)
    assert jensen_shannon(other_BV, other_BV).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_half_life_is_where_the_difference_stays_small() -> None:
    """A value that rises above the half again does not count; no difference has no half-life."""
    assert half_life([4.0, 1.0, 3.0, 2.0, 1.0]) == 3
    assert half_life([1.0, 0.9, 0.6]) is None
    assert half_life([0.0, 0.0]) is None
