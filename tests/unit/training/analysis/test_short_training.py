"""Short training runs: losses and gradient norms of every step."""

from __future__ import annotations

import numpy as np

from tests.support.training.analyzed_network import network, source
from training.analysis.short_training import ShortTrainingSettings, train_short


def test_brief_training_learns_and_tells_every_step() -> None:
    """The seed decides its course."""
    settings = ShortTrainingSettings(steps=40, batch=8, learning_rate=0.02, clip_norm=1.0, seed=1)
    told = list[float]()
    course = train_short(network(), source(), settings, told.append)
    assert told == course.losses
    assert len(course.norms) == 40
    assert np.mean(course.losses[-5:]) < np.mean(course.losses[:5]) - 0.5
    assert train_short(network(), source(), settings, told.append) == course
