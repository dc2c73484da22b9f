"""Defaults of the classifier that depend on the data and on the preset."""

from __future__ import annotations

import pytest

from training.config.classifier import ClassifierRecipe, DatasetSize, complete_classifier

SIZE = DatasetSize(documents=8000, labels=2, length=20.0)


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_the_preset_of_the_lecture_is_its_encoder(cell: str) -> None:
    """The final state of one direction, and nothing beside it, with every cell."""
    given = ClassifierRecipe(preset="lecture", cell=cell)  # type: ignore[arg-type]
    recipe = complete_classifier(given, SIZE)
    assert (recipe.pooling, recipe.bidirectional, recipe.linear_ngrams) == ("last", False, 0)


def test_given_options_take_precedence_over_the_preset() -> None:
    """A preset replaces defaults only."""
    recipe = complete_classifier(ClassifierRecipe(preset="lecture", bidirectional=True), SIZE)
    assert recipe.bidirectional
    assert recipe.pooling == "last"


def test_defaults_without_a_preset() -> None:
    """Both directions, all poolings and a linear part."""
    recipe = complete_classifier(ClassifierRecipe(), SIZE)
    assert (recipe.pooling, recipe.bidirectional) == ("last_max_mean_words", True)
    assert recipe.linear_ngrams == 2


def test_an_elman_cell_learns_at_half_the_rate() -> None:
    """A rate that is given stays."""
    rates = [
        complete_classifier(ClassifierRecipe(cell=cell, learning_rate=rate), SIZE).learning_rate  # type: ignore[arg-type]
        for cell, rate in (("lstm", None), ("elman", None), ("elman", 0.003))
    ]
    assert rates == [0.002, 0.001, 0.003]
