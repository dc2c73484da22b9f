"""The untrained classifier of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.support.training.classifier_command import made_up, write
from training.config.classifier import ClassifierRecipe
from training.evaluation.classifier import predict
from training.runs.directory import RunDirectory
from training.trainers.classifier_setup import guessing_loss, prepare_setup


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


def test_a_multi_label_network_starts_with_the_shares_of_its_labels(tmp_path: Path) -> None:
    """With many labels, the loss of the untrained network is near that of a guess by frequency;
    chances of one half would be taken for a run that has diverged.
    """
    rows = [{"text": f"word {i} of them", "labels": [f"label {i % 40}"]} for i in range(160)]
    train = tmp_path / "train.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = ClassifierRecipe(train=(str(train),), multi_label=True, linear_ngrams=0, hidden=5)
    setup = prepare_setup(recipe, RunDirectory(tmp_path / "m"), None)
    assert predict(setup.network, setup.valid).in_scope.loss < 1.2 * guessing_loss(setup)
