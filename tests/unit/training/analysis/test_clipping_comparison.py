"""Training without clipping, with clipping by norm and by value."""

from __future__ import annotations

import pytest

from tests.support.training.analyzed_network import network, source
from training.analysis.clipping_comparison import compare_clipping
from training.analysis.short_training import ShortTrainingSettings


def test_all_curves_start_from_the_same_weights_and_clipping_bounds_the_steps() -> None:
    """The first losses and norms (before clipping) are equal; a diverging run ends early."""
    settings = ShortTrainingSettings(
        steps=6,
        batch=8,
        learning_rate=1e30,
        optimizer="sgd",
        clip_norm=1e-33,
        clip_value=1e-33,
        seed=1,
    )
    curves = compare_clipping(network("elman"), source(), settings, lambda _: None)
    assert list(curves) == ["none", "norm", "value"]
    firsts = {(curve.losses[0], curve.norms[0]) for curve in curves.values()}
    assert len(firsts) == 1
    assert len(curves["none"].losses) < 6
    for way in ("norm", "value"):
        assert len(curves[way].losses) == 6
        assert curves[way].losses[-1] == pytest.approx(curves[way].losses[0], abs=0.5)
