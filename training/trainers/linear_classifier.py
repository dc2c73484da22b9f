"""Fits the linear classifier over n-grams of tokens, and joins it to a network.

The model is multinomial logistic regression, which L-BFGS fits; for a multi-label classifier, one
binary regression for each label. Three choices are made by the loss
on the validation split: the importance of a feature (few documents have it, or those of one label
have it), the strength of regularization, and the share of the linear logits in a product of experts
with the network (Hinton, "Products of Experts", 1999). Texts out of scope have the uniform
distribution as their target, and no part in the importances. Of a very large corpus some documents
are left out, because memory grows with their n-grams.

Shapes: B documents, F features, C labels, K features of all documents together.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.linear_ngrams import Counts, Features, LinearNgrams, weighted_sums
from model.networks import Classifier
from training.data.batching import EncodedDocuments, collate, sorted_batches
from training.data.examples import OUT_OF_SCOPE_INDEX
from training.evaluation.calibration import fit_temperature, mean_loss, temperature_loss
from training.evaluation.classifier import predict

COUNTING_BATCH_TOKENS = 16384
MOST_RUNS = 20_000_000  # n-grams of the training documents that are fitted
FEWEST_RUNS = 10_000  # of the same, however little time there is
STRENGTHS = (1.0, 4.0, 16.0, 64.0)  # of the data against the L2 penalty
LBFGS_ITERATIONS = 50
FIT_SPEED = 5e9  # multiplications of a fit per second, on one thread
LINEAR_SHARES = tuple(share / 20 for share in range(20))  # of the linear logits in the mean


@dataclass(frozen=True, slots=True)
class Counted:
    """The features of documents, in their order, and their labels: indices, or 0 or 1 (B, C)."""

    counts: Counts
    labels_B: Tensor

    def __len__(self) -> int:
        return len(self.labels_B)

    def features(self, linear: LinearNgrams) -> Features:
        """The features of the counts with the importances of ``linear``."""
        return linear.features(self.counts, len(self))


@torch.no_grad()
def fit_linear(
    linear: LinearNgrams,
    train: EncodedDocuments,
    valid: EncodedDocuments,
    on_progress: Callable[[float], bool] = lambda _: False,
    *,
    most_runs: float = math.inf,
) -> None:
    """Fits importances and weights of ``linear`` in place.

    Args:
        linear: is changed.
        train: the documents to fit.
        valid: the documents by which the fit is chosen.
        on_progress: receives the finished share of the work; returns True to end the fit with the
            best candidate so far.
        most_runs: the most n-grams of the documents that are fitted; at most MOST_RUNS.
    """
    train = _drawn(train, min(most_runs, MOST_RUNS) / _runs(linear, train))
    trained, validated = count(linear, train, in_scope=False), count(linear, valid)
    kinds = importances(linear, count(linear, train))
    steps = len(kinds) * len(STRENGTHS)
    done, lowest = 0, math.inf
    for importance_F in kinds:
        for loss, candidate in _candidates(linear, importance_F, trained, validated):
            if loss < lowest:
                lowest = loss
                linear.load_state_dict(candidate.state_dict())
            done += 1
            if on_progress(done / steps):
                return


@dataclass(frozen=True, slots=True)
class Extent:
    """The extent of a fit: the share of its candidates, and the n-grams of its documents."""

    share: float = 1.0
    runs: float = math.inf


def extent_within(seconds: float, linear: LinearNgrams, train: EncodedDocuments) -> Extent:
    """The extent of a fit that takes about ``seconds`` at FIT_SPEED.

    No clock is read, so that the weights depend on the data and on the options alone. At least one
    candidate is fitted, on fewer documents where all of them would take too long.
    """
    candidates, runs = 2 * len(STRENGTHS), min(MOST_RUNS, _runs(linear, train))
    labels, features = linear.weight_FC.shape[1], len(linear.importance_F)
    of_runs = LBFGS_ITERATIONS * 4 * runs * (labels + 8)
    of_weights = LBFGS_ITERATIONS * 20 * features * labels
    fits = min(candidates, seconds * FIT_SPEED / (of_runs + of_weights))
    if fits >= 1.0:
        return Extent(math.floor(fits) / candidates, runs)
    return Extent(1.0 / candidates, max(FEWEST_RUNS, fits * runs))


@torch.no_grad()
def join_linear(network: Classifier, linear: LinearNgrams, valid: EncodedDocuments) -> float:
    """Joins ``linear`` to a network without one; the logits become the weighted mean of both.

    Both logits are divided by their temperatures first; otherwise the more confident ones would
    outweigh the others.

    Returns:
        The share of ``linear`` in the mean, which gives the lowest validation loss.
    """
    validated = count(linear, valid)
    own_BC = predict(network, valid).in_scope.logits_BC
    linear_BC = linear.logits(validated.features(linear))
    labels_B = validated.labels_B
    own, other = (fit_temperature(logits_BC, labels_B) for logits_BC in (own_BC, linear_BC))
    own_BC, linear_BC = own_BC / own, linear_BC / other
    losses = [mean_loss(torch.lerp(own_BC, linear_BC, share), labels_B) for share in LINEAR_SHARES]
    share = LINEAR_SHARES[losses.index(min(losses))]
    for parameter in network.output.parameters():
        parameter.mul_((1.0 - share) / own)
    network.linear = copy.deepcopy(linear)
    for parameter in (network.linear.weight_FC, network.linear.bias_C):
        parameter.mul_(share / other)
    network.architecture = replace(
        network.architecture, linear_ngrams=linear.longest, linear_buckets=linear.buckets
    )
    return share


@torch.no_grad()
def count(linear: LinearNgrams, documents: EncodedDocuments, *, in_scope: bool = True) -> Counted:
    """Counts the features of the documents; with ``in_scope`` of those that have a label."""
    if in_scope and not isinstance(documents.labels, np.ndarray):
        documents = documents.at(
            [i for i, label in enumerate(documents.labels) if label != OUT_OF_SCOPE_INDEX]
        )
    parts = []
    for indices in sorted_batches(documents.lengths, budget=COUNTING_BATCH_TOKENS):
        batch = collate(documents, indices)
        row_K, feature_K, count_K = linear.counts(batch.tokens_TB, batch.lengths_B)
        parts.append((torch.tensor(indices)[row_K], feature_K, count_K))
    row_K, feature_K, count_K = (torch.cat(column) for column in zip(*parts, strict=True))
    order_K = row_K.argsort(stable=True)
    counts = Counts(row_K[order_K], feature_K[order_K], count_K[order_K])
    return Counted(counts, documents.label_tensor)


def _runs(linear: LinearNgrams, documents: EncodedDocuments) -> int:
    return max(1, linear.longest * sum(documents.lengths))


def _drawn(documents: EncodedDocuments, share: float) -> EncodedDocuments:
    """A random sample of about ``share`` of the documents, always the same; from 1 on all."""
    if share >= 1.0:
        return documents
    chosen = (np.random.default_rng(0).random(len(documents)) < share).nonzero()[0].tolist()
    return documents.at(chosen)


def _candidates(
    linear: LinearNgrams, importance_F: Tensor, train: Counted, valid: Counted
) -> Iterator[tuple[float, LinearNgrams]]:
    """Fits with one importance and rising strengths, until the validation loss rises.

    Each fit begins from the one before. Yields the validation loss and the fit, which goes on
    changing.
    """
    candidate = copy.deepcopy(linear)
    candidate.importance_F.copy_(importance_F)
    regression = _Regression(candidate, train)
    of_valid = valid.features(candidate)
    before = math.inf
    for strength in STRENGTHS:
        regression.descend(strength)
        loss = temperature_loss(candidate.logits(of_valid), valid.labels_B)
        if loss >= before:
            return
        before = loss
        yield loss, candidate


class _Regression:
    """Logistic regression on the training split, with the weights of ``linear``."""

    def __init__(self, linear: LinearNgrams, train: Counted) -> None:
        self._linear = linear
        self._rows = train.features(linear)
        self._columns = self._rows.transposed(len(linear.importance_F))
        self._multi_label = train.labels_B.dim() == 2
        if self._multi_label:
            self._truth_BC = train.labels_B
            return
        labels, outside_B = len(linear.bias_C), train.labels_B == OUT_OF_SCOPE_INDEX
        self._truth_BC = functional.one_hot(train.labels_B.clamp(min=0), labels).float()
        self._truth_BC[outside_B] = 1.0 / labels

    def descend(self, strength: float) -> None:
        """Minimizes the mean loss plus the squared weights over twice the strength."""
        weight_FC, bias_C = self._linear.weight_FC, self._linear.bias_C
        documents = len(self._truth_BC)
        penalty = 1.0 / (strength * documents)
        optimizer = torch.optim.LBFGS(
            [weight_FC, bias_C],
            max_iter=LBFGS_ITERATIONS,
            history_size=5,
            tolerance_grad=1e-6,
            tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )

        @torch.no_grad()
        def loss() -> float:  # sets the gradients: autograd would hold all K by C products
            probability_BC, summed = self._outcome(self._linear.logits(self._rows))
            excess_BC = (probability_BC - self._truth_BC) / documents
            weight_FC.grad = weighted_sums(excess_BC, self._columns) + penalty * weight_FC
            bias_C.grad = excess_BC.sum(dim=0)
            return float(summed / documents + 0.5 * penalty * weight_FC.square().sum())

        optimizer.step(loss)

    def _outcome(self, logits_BC: Tensor) -> tuple[Tensor, Tensor]:
        """The probabilities (B, C), and the sum of the losses of all documents."""
        if self._multi_label:
            summed = functional.binary_cross_entropy_with_logits(
                logits_BC, self._truth_BC, reduction="sum"
            )
            return logits_BC.sigmoid(), summed
        log_probability_BC = logits_BC.log_softmax(dim=1)
        return log_probability_BC.exp(), -(self._truth_BC * log_probability_BC).sum()


def importances(linear: LinearNgrams, train: Counted) -> tuple[Tensor, Tensor]:
    """Two importances of each feature, (F,): inverse document frequency, and log-odds of a label.

    The first is the logarithm of the inverse share of documents that have the feature. The second
    is the largest over the labels of the log-ratio of the shares in the label's and in all other
    documents (Wang and Manning, "Baselines and Bigrams", 2012). Both are 0 where no document has
    the feature.
    """
    labels, features = len(linear.bias_C), len(linear.importance_F)
    row_K, feature_K, _ = train.counts
    having_F, total = torch.bincount(feature_K, minlength=features).float(), len(train)
    if train.labels_B.dim() == 2:
        having_CF = torch.stack(
            [
                torch.zeros(features).index_add_(0, feature_K, has_B[row_K])
                for has_B in train.labels_B.t()
            ]
        )
        documents_C1 = train.labels_B.sum(dim=0).unsqueeze(1)
    else:
        place_K = train.labels_B[row_K] * features + feature_K
        having_CF = torch.zeros(labels * features).index_add_(0, place_K, torch.ones(len(place_K)))
        having_CF = having_CF.view(labels, features)
        documents_C1 = torch.bincount(train.labels_B, minlength=labels).unsqueeze(1)
    rarity_F = 1.0 + torch.log((1.0 + total) / (1.0 + having_F))
    inside_CF = (1.0 + having_CF) / (2.0 + documents_C1)
    outside_CF = (1.0 + having_F - having_CF) / (2.0 + total - documents_C1)
    contrast_F = torch.log(inside_CF / outside_CF).abs().amax(dim=0)
    seen_F = having_F > 0
    return rarity_F * seen_F, contrast_F * seen_F
