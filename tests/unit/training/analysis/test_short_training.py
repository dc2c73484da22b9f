"""Short training runs: loss and gradient norm of every step."""

from __future__ import annotations

import numpy as np

from tests.support.training.analyzed_network import network, source
from training.analysis.short_training import ShortTrainingSettings, train_short


def test_a_short_training_learns_and_reports_every_step() -> None:
    """The loss falls; equal seeds give equal curves."""
    settings = ShortTrainingSettings(steps=40, batch=8, learning_rate=0.02, clip_norm=1.0, seed=1)
    reported = list[float]()
    curve = train_short(network(), source(), settings, reported.append)
    assert reported == curve.losses
    assert len(curve.norms) == 40
    assert np.mean(curve.losses[-5:]) < np.mean(curve.losses[:5]) - 0.5
    assert train_short(network(), source(), settings, reported.append) == curve
