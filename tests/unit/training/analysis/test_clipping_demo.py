"""Training without clipping, clipped by norm and by value."""

from __future__ import annotations

import pytest

from tests.support.training.analyzed_network import network, source
from training.analysis.clipping_demo import clipping_courses
from training.analysis.short_training import ShortTrainingSettings


def test_the_ways_of_clipping_begin_alike_and_bound_their_steps() -> None:
    """Each from the same weights; the norm told is that before clipping; a wild run breaks off."""
    settings = ShortTrainingSettings(
        steps=6,
        batch=8,
        learning_rate=1e30,
        optimizer="sgd",
        clip_norm=1e-33,
        clip_value=1e-33,
        seed=1,
    )
    courses = clipping_courses(network("elman"), source(), settings, lambda _: None)
    assert list(courses) == ["none", "norm", "value"]
    firsts = {(course.losses[0], course.norms[0]) for course in courses.values()}
    assert len(firsts) == 1
    assert len(courses["none"].losses) < 6
    for way in ("norm", "value"):
        assert len(courses[way].losses) == 6
        assert courses[way].losses[-1] == pytest.approx(courses[way].losses[0], abs=0.5)
