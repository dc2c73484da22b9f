"""The fit of the linear classifier, and its share beside a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, tensor
from torch.nn import functional

from model.architecture import ClassifierArchitecture
from model.linear_ngrams import LinearNgrams
from model.networks import Classifier
from training.data.batching import EncodedDocuments
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.evaluation.calibration import fit_temperature, temperature_loss
from training.evaluation.classifier import Predictions, predict
from training.trainers import linear_classifier
from training.trainers.linear_classifier import (
    LINEAR_SHARES,
    STRENGTHS,
    count,
    fit_linear,
    importances,
    join_linear,
)

VOCABULARY, LABELS = 30, 3


def made_up(count: int, seed: int, *, telling: bool) -> EncodedDocuments:
    """EncodedDocuments of 3 to 12 tokens; if ``telling``, a third of them belong to the label."""
    generator = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int, many: int = 1) -> list[int]:
        values: list[int] = torch.randint(low, high, (many,), generator=generator).tolist()
        return values

    labels = draw(0, LABELS, count)
    tokens = [
        draw(LABELS, VOCABULARY, *draw(2, 9)) + ([label] * 2 if telling else draw(0, LABELS))
        for label in labels
    ]
    return EncodedDocuments(tokens, labels)


def classifier() -> Classifier:
    """A small network with random weights."""
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
        )
    )


def fitted(train: EncodedDocuments, valid: EncodedDocuments) -> LinearNgrams:
    """A linear classifier over tokens and pairs, fitted."""
    linear = LinearNgrams(VOCABULARY, 2, 64, LABELS)
    fit_linear(linear, train, valid)
    return linear


def test_of_a_very_large_corpus_some_documents_are_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on n-grams selects the same documents every time, enough to learn from."""
    train, valid = made_up(2000, 1, telling=True), made_up(200, 2, telling=True)
    monkeypatch.setattr(linear_classifier, "MOST_RUNS", 4000)  # of about 38,000
    seen: list[int] = []

    def counted(
        linear: LinearNgrams, documents: EncodedDocuments, *, in_scope: bool = True
    ) -> linear_classifier.Counted:
        seen.append(2 * sum(documents.lengths))
        return count(linear, documents, in_scope=in_scope)

    monkeypatch.setattr(linear_classifier, "count", counted)
    linear, again = fitted(train, valid), fitted(train, valid)
    assert torch.equal(linear.weight_FC, again.weight_FC)
    of_train, of_valid = seen[:2]
    assert 3500 < of_train < 4500
    assert of_valid == 2 * sum(valid.lengths)
    validated = count(linear, valid)
    right_B = linear.logits(validated.features(linear)).argmax(dim=1) == validated.labels_B
    assert right_B.double().mean() > 0.9


def test_texts_out_of_scope_take_confidence_from_their_words() -> None:
    """Their target is uniform, so a word of theirs and of one label tells nothing."""
    train, valid = made_up(300, 1, telling=True), made_up(100, 2, telling=True)
    told = EncodedDocuments([[1, 1, 1]], [0])
    outside = EncodedDocuments(
        [*train.tokens, *[[1, 1, 1]] * 100], [*train.labels, *[OUT_OF_SCOPE_INDEX] * 100]
    )
    inside = EncodedDocuments([*train.tokens, *[[1, 1, 1]] * 100], [*train.labels, *[0] * 100])
    confidences = []
    for documents in (inside, outside):
        linear = fitted(documents, valid)
        logits_BC = linear.logits(count(linear, told).features(linear))
        confidences.append(float(logits_BC.softmax(dim=1).max()))
    assert confidences[0] > 0.9
    assert confidences[1] < 0.6


def slope_at(linear: LinearNgrams, train: EncodedDocuments) -> Tensor:
    """The gradient of the mean loss, by autograd and document by document."""
    weight_FC = linear.weight_FC.clone().requires_grad_()
    logits = []
    for tokens in train.tokens:
        counts = linear.counts(torch.tensor(tokens)[:, None], tensor([len(tokens)]))
        features = linear.features(counts, 1)
        logits.append(features.value_K @ weight_FC[features.feature_K] + linear.bias_C)
    loss = functional.cross_entropy(torch.stack(logits), torch.tensor(train.labels))
    (slope_FC,) = torch.autograd.grad(loss, weight_FC)
    return slope_FC


def strength_of(linear: LinearNgrams, train: EncodedDocuments) -> float:
    """The strength whose minimum the weights are at."""
    slope_FC = slope_at(linear, train)
    rests = {
        strength: (slope_FC + linear.weight_FC / (strength * len(train))).abs().max().item()
        for strength in STRENGTHS
    }
    strongest = min(rests, key=lambda strength: rests[strength])
    assert rests[strongest] < 0.02 * slope_FC.abs().max().item()
    return strongest


def test_it_ends_in_the_minimum_that_validation_likes() -> None:
    """On uninformative words the strongest penalty is chosen, on informative words the weakest."""
    for telling, expected in ((False, STRENGTHS[:1]), (True, STRENGTHS[2:])):
        train, valid = (made_up(200, seed, telling=telling) for seed in (1, 2))
        assert strength_of(fitted(train, valid), train) in expected


def test_importances_by_hand() -> None:
    """Importances of single tokens equal those of counted documents; 0 where none has a token."""
    train = made_up(50, 1, telling=True)
    linear = LinearNgrams(VOCABULARY, 2, 64, LABELS)
    rarity_F, contrast_F = importances(linear, count(linear, train))
    having = [
        [
            sum(token in tokens for tokens, own in pairs(train) if own == label)
            for label in range(LABELS)
        ]
        for token in range(VOCABULARY)
    ]
    documents = [list(train.labels).count(label) for label in range(LABELS)]
    for token, counts in enumerate(having):
        if sum(counts) == 0:
            assert rarity_F[token] == contrast_F[token] == 0.0
            continue
        assert rarity_F[token] == pytest.approx(1 + math.log(51 / (1 + sum(counts))), rel=1e-5)
        ratios = [
            abs(math.log((1 + own) / (2 + n) * (2 + 50 - n) / (1 + sum(counts) - own)))
            for own, n in zip(counts, documents, strict=True)
        ]
        assert contrast_F[token] == pytest.approx(max(ratios), rel=1e-5)


def test_the_better_importance_is_kept() -> None:
    """The fit has one of the two importances, and a loss no higher than that of the first fit."""
    train, valid = (made_up(200, seed, telling=True) for seed in (1, 2))
    first = LinearNgrams(VOCABULARY, 2, 64, LABELS)
    shares: list[float] = []

    def stop(share: float) -> bool:
        shares.append(share)
        return True

    fit_linear(first, train, valid, stop)
    assert shares == [1 / (2 * len(STRENGTHS))]
    best = fitted(train, valid)
    kinds = importances(best, count(best, train))
    assert any(torch.equal(best.importance_F, kind_F) for kind_F in kinds)
    assert torch.equal(first.importance_F, kinds[0])
    assert loss_of(best, valid) < loss_of(first, valid)


def test_joined_logits_are_a_weighted_mean() -> None:
    """The logits are divided by their temperatures; the share has the lowest loss of all tried."""
    network, valid = classifier(), made_up(100, 2, telling=True)
    linear = fitted(made_up(60, 1, telling=True), valid)
    own_BC = predict(network, valid).logits_BC
    other_BC, labels_B = linear_logits(linear, valid), torch.tensor(valid.labels)
    own_BC, other_BC = (x / fit_temperature(x, labels_B) for x in (own_BC, other_BC))
    share = join_linear(network, linear, valid)
    found_BC = predict(network, valid).logits_BC
    torch.testing.assert_close(found_BC, torch.lerp(own_BC, other_BC, share), atol=1e-4, rtol=1e-4)
    losses = {
        by: functional.cross_entropy(torch.lerp(own_BC, other_BC, by), labels_B).item()
        for by in LINEAR_SHARES
    }
    assert share == min(losses, key=lambda by: losses[by])
    assert network.architecture.linear_ngrams == 2
    assert network.architecture.linear_buckets == 64


def test_words_that_predict_the_label_get_weight() -> None:
    """The linear classifier has the larger share beside an untrained network; out-of-scope texts
    are left out.
    """
    network, valid = classifier(), made_up(100, 2, telling=True)
    train = made_up(200, 1, telling=True)
    train = EncodedDocuments([*train.tokens, [4, 5, 6]], [*train.labels, OUT_OF_SCOPE_INDEX])
    assert join_linear(network, fitted(train, valid), valid) > 0.5
    predictions = predict(network, made_up(300, 3, telling=True))
    assert isinstance(predictions, Predictions)
    assert predictions.accuracy > 0.95


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_noise_is_not_believed(seed: int) -> None:
    """On uninformative words the loss on new documents is close to that of chance."""
    network, valid = classifier(), made_up(300, seed + 10, telling=False)
    join_linear(network, fitted(made_up(100, seed, telling=False), valid), valid)
    assert predict(network, made_up(500, seed + 20, telling=False)).loss < math.log(LABELS) + 0.03


def pairs(documents: EncodedDocuments) -> list[tuple[Sequence[int], int]]:
    """The tokens and the label of each document."""
    return list(zip(documents.tokens, documents.labels, strict=True))


def linear_logits(linear: LinearNgrams, documents: EncodedDocuments) -> Tensor:
    """Logits (B, C), document by document."""
    rows = [
        linear(torch.tensor(tokens)[:, None], tensor([len(tokens)])) for tokens in documents.tokens
    ]
    return torch.cat(rows)


def loss_of(linear: LinearNgrams, documents: EncodedDocuments) -> float:
    """The loss under the best temperature."""
    return temperature_loss(linear_logits(linear, documents), torch.tensor(documents.labels))


def test_sets_of_labels_are_counted_and_fitted_as_labels() -> None:
    """Sets of one label give the importances of the labels; the fit decides about each label, also
    for documents of two labels and of none.
    """
    train, valid = made_up(200, 1, telling=True), made_up(100, 2, telling=True)
    sets, of_valid = label_sets(train), label_sets(valid)
    linear = LinearNgrams(VOCABULARY, 1, 1, LABELS)
    for one, other in zip(
        importances(linear, count(linear, train)),
        importances(linear, count(linear, sets)),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    fit_linear(linear, sets, of_valid)
    new = EncodedDocuments([[0, 0, 1, 1], [9, 12, 17]], [0, 0])
    logits_BC = linear.logits(count(linear, new).features(linear))
    assert (logits_BC[0] > 0).tolist() == [True, True, False]
    assert (logits_BC[1] > 0).tolist() == [False, False, False]


def label_sets(documents: EncodedDocuments) -> EncodedDocuments:
    """The same documents with sets of one label."""
    return EncodedDocuments(documents.tokens, np.eye(LABELS, dtype=bool)[list(documents.labels)])
