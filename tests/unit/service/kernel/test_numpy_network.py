"""The networks in NumPy compute what the networks in torch compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from model.architecture import CELLS, Cell, ClassifierArchitecture, LanguageModelArchitecture
from model.artifact import weights_of
from model.networks import Classifier, LanguageModel
from service.kernel.numpy_network import label_logits, log_probabilities_of

VOCABULARY = 30
READ = [29, 3, 11, 0, 17, 28, 3]
PREDICTED = [3, 11, 0, 17, 28, 3, 29]


def randomized(network: torch.nn.Module) -> None:
    """Random weights, biases and initial states."""
    torch.manual_seed(4)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    network.requires_grad_(False).eval()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"projection": 8, "tied": True},
        {"cutoffs": (5, 12), "division": 1},
        {"cutoffs": (5, 12), "division": 2},
    ],
)
def test_language_models(cell: Cell, options: dict[str, Any]) -> None:
    """Log-probabilities of frequent and rare words and of [END], for every output layer."""
    architecture = LanguageModelArchitecture(
        cell=cell, vocabulary=VOCABULARY, embedding=8, hidden=12, layers=2, **options
    )
    network = LanguageModel(architecture)
    randomized(network)
    logits_TBV, _ = network(torch.tensor(READ).unsqueeze(1), network.initial_state(1))
    expected = logits_TBV[:, 0].log_softmax(-1)[range(len(PREDICTED)), PREDICTED].tolist()
    computed = log_probabilities_of(weights_of(network), READ, PREDICTED)
    assert computed.tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bidirectional": True, "pooling": "last_max_mean_words"},
        {"ngrams": 3, "ngram_buckets": 16},
        {"bidirectional": True, "linear_ngrams": 3, "linear_buckets": 16},
    ],
)
def test_classifiers(cell: Cell, options: dict[str, Any]) -> None:
    """Logits, in both directions, with n-grams and with a linear part."""
    architecture = ClassifierArchitecture(
        cell=cell,
        vocabulary=VOCABULARY,
        embedding=8,
        hidden=10,
        layers=2,
        mlp=6,
        labels=3,
        **options,
    )
    network = Classifier(architecture)
    randomized(network)
    expected = network(torch.tensor(READ).unsqueeze(1), torch.tensor([len(READ)]))[0].tolist()
    computed = label_logits(weights_of(network), READ)
    assert computed.tolist() == pytest.approx(expected, abs=1e-4)
