"""N-grams of tokens, hashed into a fixed number of buckets (the hashing trick).

A vector for each character n-gram represents suffixes and stems directly (Bojanowski et al.,
"Enriching Word Vectors with Subword Information", 2017).

Shape suffixes: N orders, T time, B rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PRIME, FACTOR = 2**31 - 1, 1_000_003  # tokens are under 2^24, so no product leaves 64 bits
PADDING_HASH = 0  # in place of tokens before the first and after the last one of a document


def ngram_buckets(tokens_TB: Tensor, lengths_B: Tensor, longest: int, buckets: int) -> Tensor:
    """Hashes the n-grams around every token, for each length from 2 to ``longest``.

    Args:
        tokens_TB: token ids (T, B).
        lengths_B: tokens of each row; later ones are ignored.
        longest: largest n.
        buckets: buckets of each length.

    Returns:
        Bucket ids (longest - 1, T, B). Those of length n lie in [(n - 2) * buckets, (n - 1) *
        buckets). An n-gram begins n // 2 tokens before its position, and padding fills positions
        outside the document.
    """
    steps = tokens_TB.shape[0]
    inside_TB = torch.arange(steps).unsqueeze(1) < lengths_B
    shifted = torch.where(inside_TB, tokens_TB.long() + 1, PADDING_HASH)
    padded = functional.pad(shifted, (0, 0, longest, longest), value=PADDING_HASH)
    buckets_by_length = []
    for index, length in enumerate(range(2, longest + 1)):
        hash_TB = torch.full_like(shifted, length)
        for offset in range(-(length // 2), (length + 1) // 2):
            begin = longest + offset
            hash_TB = (hash_TB * FACTOR + padded[begin : begin + steps]) % PRIME
        buckets_by_length.append(hash_TB % buckets + index * buckets)
    return torch.stack(buckets_by_length)
