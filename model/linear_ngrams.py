"""A linear classifier over the n-grams of a document, combined with a recurrent one.

N-gram counts predict the label of long documents well, and a recurrent network learns them poorly
from little data. The features are TF-IDF with sublinear term frequency, scaled to unit length
(Salton and Buckley, 1988). N-grams of two tokens or more are hashed.

Shape suffixes: T time, B rows, N orders, F features, C labels, K entries: distinct features of all
rows together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.ngrams import ngram_buckets

MIN_NORM = 1e-12


class Counts(NamedTuple):
    """Row, feature and count (K,) of each entry, ordered by row."""

    row_K: Tensor
    feature_K: Tensor
    count_K: Tensor


class Features(NamedTuple):
    """A sparse matrix: row, feature, value (K,) of each entry, and the first entry of each row."""

    row_K: Tensor
    feature_K: Tensor
    value_K: Tensor
    begin_B: Tensor

    def transposed(self, features: int) -> Features:
        """The transposed matrix, whose rows are the ``features`` features."""
        order_K = self.feature_K.argsort(stable=True)
        return features_of(
            self.feature_K[order_K], self.row_K[order_K], self.value_K[order_K], features
        )


def features_of(row_K: Tensor, feature_K: Tensor, value_K: Tensor, rows: int) -> Features:
    """A matrix of ``rows`` rows from entries that are ordered by row."""
    begin_B = torch.searchsorted(row_K, torch.arange(rows))
    return Features(row_K, feature_K, value_K, begin_B)


def weighted_sums(weight_FC: Tensor, features: Features) -> Tensor:
    """The product (B, C) of the sparse matrix and the weights."""
    return functional.embedding_bag(
        features.feature_K,
        weight_FC,
        features.begin_B,
        mode="sum",
        per_sample_weights=features.value_K,
    )


class LinearNgrams(nn.Module):
    """Logits from the n-grams of length 1 to ``longest``; zero before the weights are fitted.

    The parameters require no gradient: they are fitted separately from the network.
    """

    def __init__(self, vocabulary: int, longest: int, buckets: int, labels: int) -> None:
        super().__init__()
        self.longest, self.buckets, self.vocabulary = longest, buckets, vocabulary
        features = vocabulary + (longest - 1) * buckets
        self.importance_F = nn.Parameter(torch.ones(features), requires_grad=False)
        self.weight_FC = nn.Parameter(torch.zeros(features, labels), requires_grad=False)
        self.bias_C = nn.Parameter(torch.zeros(labels), requires_grad=False)

    def forward(self, tokens_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits (B, C) of documents (T, B) of the given lengths, each at least 1."""
        return self.logits(self.features(self.counts(tokens_TB, lengths_B), len(lengths_B)))

    def logits(self, features: Features) -> Tensor:
        """Logits (B, C) of the rows."""
        return weighted_sums(self.weight_FC, features) + self.bias_C

    def features(self, counts: Counts, rows: int) -> Features:
        """TF-IDF values of the counts; each row has unit length."""
        row_K, feature_K, count_K = counts
        value_K = (1.0 + count_K.log()) * self.importance_F[feature_K]
        square_B = torch.zeros(rows).index_add_(0, row_K, value_K.square())
        value_K = value_K / square_B.sqrt().clamp(min=MIN_NORM)[row_K]
        return features_of(row_K, feature_K, value_K, rows)

    def counts(self, tokens_TB: Tensor, lengths_B: Tensor) -> Counts:
        """Counts of the n-grams of documents (T, B); tokens from a row's length on are ignored."""
        inside_TB = torch.arange(tokens_TB.shape[0]).unsqueeze(1) < lengths_B
        features_NTB = tokens_TB.long().unsqueeze(0)
        if self.longest > 1:
            buckets_NTB = ngram_buckets(tokens_TB, lengths_B, self.longest, self.buckets)
            features_NTB = torch.cat([features_NTB, buckets_NTB + self.vocabulary])
        features = len(self.importance_F)
        keys_NTB = features_NTB + features * torch.arange(len(lengths_B))
        keys_K, count_K = keys_NTB[:, inside_TB].flatten().unique(return_counts=True)
        return Counts(keys_K // features, keys_K % features, count_K.float())
