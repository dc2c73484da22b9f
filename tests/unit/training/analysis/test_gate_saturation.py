"""Gate saturation."""

from __future__ import annotations

import pytest
import torch

from tests.support.training.analyzed_network import draw, network
from training.analysis.gate_saturation import gate_saturation


def test_gates_that_cannot_move_are_always_shut_or_always_open() -> None:
    """Extreme biases saturate the gates; torch's order is input, forget, cell, output."""
    model = network(scale=0.0)
    with torch.no_grad():
        bias_G = getattr(model.recurrent, "bias_ih_l1")  # noqa: B009 - made by torch
        bias_G[:8] = -5.0
        bias_G[8:12] = 5.0
    layers = gate_saturation(model, draw(rows=40))
    assert len(layers) == 2
    for gate in layers[0].values():
        assert gate.shut == gate.open == [0.0] * 8
    assert layers[1]["input"].shut == pytest.approx([1.0] * 8)
    assert layers[1]["forget"].open == pytest.approx([1.0] * 4 + [0.0] * 4)
    assert layers[1]["output"].open == [0.0] * 8
    assert gate_saturation(network("elman"), draw()) == [{}, {}]
