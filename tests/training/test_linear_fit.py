"""How the linear classifier finds its weights, and its weight beside a network."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from model.architecture import ClassifierArchitecture
from model.linear_ngrams import LinearNgrams
from model.networks import Classifier
from training.buckets import Documents
from training.classifier_evaluation import predict
from training.linear_fit import STRENGTHS, fit_linear, join_linear
from training.out_of_scope import OUTSIDE

VOCABULARY, LABELS = 30, 3


def made_up(count: int, seed: int, *, telling: bool) -> Documents:
    """Documents of 3 to 12 tokens; where they are ``telling``, a third of them are the label's."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, many: int = 1) -> list[int]:
        found: list[int] = torch.randint(low, high, (many,), generator=generator).tolist()
        return found

    labels = draw(0, LABELS, count)
    tokens = [
        draw(LABELS, VOCABULARY, *draw(2, 9)) + ([label] * 2 if telling else draw(0, LABELS))
        for label in labels
    ]
    return Documents(tokens, labels)


def classifier() -> Classifier:
    """A small network with random weights, and a linear classifier beside it."""
    torch.manual_seed(1)
    return Classifier(
        ClassifierArchitecture(
            cell="gru",
            vocabulary=VOCABULARY,
            embedding=4,
            hidden=4,
            layers=1,
            mlp=4,
            labels=LABELS,
            linear_ngrams=2,
            linear_buckets=64,
        )
    )


def linear_of(network: Classifier) -> LinearNgrams:
    """It is there."""
    assert network.linear is not None
    return network.linear


def test_it_finds_the_minimum() -> None:
    """At the weights found, the gradient of the loss held back by one of the strengths is zero."""
    network, train = classifier(), made_up(200, 1, telling=True)
    linear = linear_of(network)
    fit_linear(linear, train, made_up(100, 2, telling=True))
    weight_FC = linear.weight_FC.clone().requires_grad_()
    logits = []
    for tokens in train.tokens:
        found = linear.features(torch.tensor(tokens)[:, None], torch.tensor([len(tokens)]))
        logits.append(found.value_K @ weight_FC[found.feature_K] + linear.bias_C)
    loss = functional.cross_entropy(torch.stack(logits), torch.tensor(train.labels))
    (slope_FC,) = torch.autograd.grad(loss, weight_FC)
    ends = [
        (slope_FC + linear.weight_FC / (strength * len(train))).abs().max().item()
        for strength in STRENGTHS
    ]
    assert min(ends) < 0.02 * slope_FC.abs().max().item()


def test_words_that_tell_the_label_are_believed() -> None:
    """Beside an untrained network it decides nearly everything, texts out of scope left aside."""
    network, valid = classifier(), made_up(100, 2, telling=True)
    train = made_up(200, 1, telling=True)
    train = Documents([*train.tokens, [4, 5, 6]], [*train.labels, OUTSIDE])
    linear = linear_of(network)
    fit_linear(linear, train, valid)
    assert join_linear(network, linear, valid) > 0.5
    assert predict(network, made_up(300, 3, telling=True)).accuracy > 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_is_not_believed(seed: int) -> None:
    """Where words say nothing of the label, the sum is no worse than the network by itself."""
    network, valid = classifier(), made_up(300, seed + 10, telling=False)
    alone = predict(network, valid).loss
    linear = linear_of(network)
    fit_linear(linear, made_up(100, seed, telling=False), valid)
    assert join_linear(network, linear, valid) < 0.5
    assert predict(network, valid).loss < alone + 0.02
