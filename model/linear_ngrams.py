"""A linear classifier over the runs of tokens a document has, to stand beside a recurrent one.

What single words and pairs of words say of the label is known from their counts alone, which a
recurrent network has to learn step by step; from few long documents it never does. The features are
those of a linear text classifier: logarithmic counts times the importance of the run, scaled to
length 1 (Salton and Buckley, 1988). Runs longer than one token are hashed. Knows neither text nor
how importance and weights are found.

Shapes: T time, B rows, N orders, F features, C labels, K distinct features of all rows together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.ngrams import ngram_buckets

SMALLEST = 1e-12  # of a length


class Counts(NamedTuple):
    """How often each row has each of its features: row, feature and count (K,), by rows."""

    row_K: Tensor
    feature_K: Tensor
    count_K: Tensor


class Features(NamedTuple):
    """A sparse matrix by rows: of each entry row, feature and value (K,); where each row begins."""

    row_K: Tensor
    feature_K: Tensor
    value_K: Tensor
    begin_B: Tensor

    def transposed(self, features: int) -> Features:
        """The same with rows and features exchanged."""
        order_K = self.feature_K.argsort(stable=True)
        return features_of(
            self.feature_K[order_K], self.row_K[order_K], self.value_K[order_K], features
        )


def features_of(row_K: Tensor, feature_K: Tensor, value_K: Tensor, rows: int) -> Features:
    """From entries that are ordered by rows."""
    begin_B = torch.searchsorted(row_K, torch.arange(rows))
    return Features(row_K, feature_K, value_K, begin_B)


def weighted_sums(weight_FC: Tensor, features: Features) -> Tensor:
    """The sum (B, C) of each row's features' weights times their values."""
    return functional.embedding_bag(
        features.feature_K,
        weight_FC,
        features.begin_B,
        mode="sum",
        per_sample_weights=features.value_K,
    )


class LinearNgrams(nn.Module):
    """Logits from the runs of 1 to ``longest`` tokens; zero until weights are put in.

    The parameters ask no gradient: they are fitted by themselves.
    """

    def __init__(self, vocabulary: int, longest: int, buckets: int, labels: int) -> None:
        super().__init__()
        self.longest, self.buckets, self.vocabulary = longest, buckets, vocabulary
        features = vocabulary + (longest - 1) * buckets
        self.importance_F = nn.Parameter(torch.ones(features), requires_grad=False)
        self.weight_FC = nn.Parameter(torch.zeros(features, labels), requires_grad=False)
        self.bias_C = nn.Parameter(torch.zeros(labels), requires_grad=False)

    def forward(self, tokens_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """Logits (B, C). What stands at or beyond a row's length (each at least 1) is not read."""
        return self.logits(self.features(self.counts(tokens_TB, lengths_B), len(lengths_B)))

    def logits(self, features: Features) -> Tensor:
        """(B, C)."""
        return weighted_sums(self.weight_FC, features) + self.bias_C

    def features(self, counts: Counts, rows: int) -> Features:
        """What counts are worth: their logarithms times importance, each row of length 1."""
        row_K, feature_K, count_K = counts
        value_K = (1.0 + count_K.log()) * self.importance_F[feature_K]
        square_B = torch.zeros(rows).index_add_(0, row_K, value_K.square())
        value_K = value_K / square_B.sqrt().clamp(min=SMALLEST)[row_K]
        return features_of(row_K, feature_K, value_K, rows)

    def counts(self, tokens_TB: Tensor, lengths_B: Tensor) -> Counts:
        """Of the runs in documents; what stands at or beyond a row's length is not read."""
        inside_TB = torch.arange(tokens_TB.shape[0]).unsqueeze(1) < lengths_B
        found_NTB = tokens_TB.long().unsqueeze(0)
        if self.longest > 1:
            runs_NTB = ngram_buckets(tokens_TB, lengths_B, self.longest, self.buckets)
            found_NTB = torch.cat([found_NTB, runs_NTB + self.vocabulary])
        features = len(self.importance_F)
        keys_NTB = found_NTB + features * torch.arange(len(lengths_B))
        keys_K, count_K = keys_NTB[:, inside_TB].flatten().unique(return_counts=True)
        return Counts(keys_K // features, keys_K % features, count_K.float())
