"""The untrained classifier of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.training.classifier_command import made_up, write
from training.config.classifier import ClassifierRecipe
from training.runs.directory import RunDirectory
from training.trainers.classifier_setup import prepare_setup


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm"])
def test_an_elman_network_starts_as_a_sum_over_words(tmp_path: Path, cell: str) -> None:
    """Its hidden-to-hidden weights are the identity in each direction; other cells have others."""
    train = write(tmp_path / "train.jsonl", made_up(60, 1))
    recipe = ClassifierRecipe(
        train=(train,),
        cell=cell,  # type: ignore[arg-type]
        hidden=5,
        embedding=4,
        layers=2,
        linear_ngrams=0,
    )
    network = prepare_setup(recipe, RunDirectory(tmp_path / "m"), None).network
    weights = [p for n, p in network.recurrent.named_parameters() if n.startswith("weight_hh")]
    assert len(weights) == 4
    identical = [torch.equal(weight[:5], torch.eye(5)) for weight in weights]
    assert identical == [cell == "elman"] * 4
