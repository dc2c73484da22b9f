"""Hashed n-grams: independent of their position, distinct at the edges, and bounded."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.ngrams import ngram_buckets

MANY = 2**20  # buckets, so that different n-grams do not collide


def buckets_of(tokens: list[int], longest: int, padding: int = 0) -> list[list[int]]:
    """The buckets of one document for each length."""
    tokens_T1 = torch.tensor([*tokens, *[0] * padding]).unsqueeze(1)
    buckets_NTB = ngram_buckets(tokens_T1, torch.tensor([len(tokens)]), longest, MANY)
    return [row[: len(tokens)] for row in buckets_NTB[:, :, 0].tolist()]


def test_an_ngram_has_the_same_bucket_at_any_position() -> None:
    """Bigrams end at their position, trigrams have it in the middle, and edges belong to them."""
    pairs, threes = buckets_of([5, 6, 7, 5, 6, 7, 7], 3)
    assert pairs[1] == pairs[4]  # 5 6
    assert pairs[0] != pairs[3]  # edge 5, and 7 5
    assert threes[1] == threes[4]  # 5 6 7
    assert threes[2] != threes[5]  # 6 7 5, and 6 7 7
    assert buckets_of([6, 7], 3)[1][1] != threes[5]  # 6 7 edge


@given(st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=12), st.integers(2, 8))
def test_padding_has_no_influence_and_buckets_are_bounded(tokens: list[int], longest: int) -> None:
    """Each length has its own range of buckets, whatever tokens follow the document."""
    alone = buckets_of(tokens, longest)
    assert alone == buckets_of(tokens, longest, padding=3)
    for index, row in enumerate(alone):
        assert all(index * MANY <= bucket < (index + 1) * MANY for bucket in row)


def test_the_hash_is_part_of_the_format() -> None:
    """The bucket numbers are constant, since trained vectors depend on them."""
    assert buckets_of([0, 1, 2], 3) == [[81590, 33018, 1033022], [1860137, 1852360, 1844578]]
