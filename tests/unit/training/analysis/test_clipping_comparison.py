"""Training without clipping, with clipping by norm and by value."""

from __future__ import annotations

import pytest

from tests.support.training.analyzed_network import network, source
from training.analysis.clipping_comparison import compare_clipping
from training.analysis.short_training import ShortTrainingSettings


def test_clipping_by_norm_keeps_the_direction_and_by_value_turns_it() -> None:
    """The norm after clipping is the limit; entries are cut off one by one."""
    settings = ShortTrainingSettings(
        steps=3,
        batch=8,
        learning_rate=0.1,
        optimizer="sgd",
        clip_norm=1e-3,
        clip_value=1e-4,
        seed=1,
    )
    curves = compare_clipping(network("elman"), source(), settings, lambda _: None)
    assert curves["none"].clipped == curves["none"].norms
    assert curves["none"].cosines == [1.0] * 3
    assert curves["norm"].clipped == pytest.approx([1e-3] * 3, rel=1e-4)
    assert curves["norm"].cosines == pytest.approx([1.0] * 3)
    assert all(0 < cosine < 0.99 for cosine in curves["value"].cosines)


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
