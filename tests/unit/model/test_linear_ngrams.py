"""The linear n-gram classifier against sums over dictionaries."""

from __future__ import annotations

import math
from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.linear_ngrams import LinearNgrams
from model.ngrams import ngram_buckets

VOCABULARY, LONGEST, BUCKETS, LABELS = 9, 3, 13, 4

documents = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=12), min_size=1, max_size=5
)


def random_linear() -> LinearNgrams:
    """A classifier with random weights and positive importances."""
    torch.manual_seed(1)
    linear = LinearNgrams(VOCABULARY, LONGEST, BUCKETS, LABELS)
    for parameter in linear.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 2.0)
    return linear


def logits_of(linear: LinearNgrams, batch: list[list[int]]) -> torch.Tensor:
    """Logits (B, C) of documents padded with a token of the vocabulary."""
    tokens_TB = torch.full((max(map(len, batch)), len(batch)), 5)
    for row, document in enumerate(batch):
        tokens_TB[: len(document), row] = torch.tensor(document)
    logits_BC: torch.Tensor = linear(tokens_TB, torch.tensor([len(row) for row in batch]))
    return logits_BC


@given(documents)
def test_logits_are_sums_over_the_features_of_a_document(batch: list[list[int]]) -> None:
    """The features (1 + log count) x importance have unit length; logits are linear in them."""
    linear = random_linear()
    for row, document in zip(logits_of(linear, batch).tolist(), batch, strict=True):
        tokens_T1 = torch.tensor(document)[:, None]
        runs = ngram_buckets(tokens_T1, torch.tensor([len(document)]), LONGEST, BUCKETS)
        counts = Counter(document) + Counter((runs.flatten() + VOCABULARY).tolist())
        values = {
            feature: (1 + math.log(count)) * linear.importance_F[feature].item()
            for feature, count in counts.items()
        }
        length = math.hypot(*values.values())
        for label, logit in enumerate(row):
            expected = linear.bias_C[label].item() + sum(
                value / length * linear.weight_FC[feature, label].item()
                for feature, value in values.items()
            )
            assert math.isclose(logit, expected, rel_tol=1e-4)


@given(documents)
def test_other_rows_have_no_influence(batch: list[list[int]]) -> None:
    """The logits of a document are equal alone and in a padded batch, to the last bit."""
    linear = random_linear()
    together_BC = logits_of(linear, batch)
    for row, document in enumerate(batch):
        assert torch.equal(together_BC[row], logits_of(linear, [document])[0])
