"""Runs of neighboring tokens, hashed into a fixed number of buckets.

What a suffix or a pair of letters means is seen at once when it has a vector of its own, where a
recurrent layer has to learn to spell it (Bojanowski et al., "Enriching Word Vectors with Subword
Information", 2017). Integers in, integers out; knows no network.

Shapes: N orders, T time, B rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

PRIME, FACTOR = 2**31 - 1, 1_000_003  # tokens are under 2^24, so no product leaves 64 bits
BEYOND = 0  # stands in a run for what lies before a document or after it


def ngram_buckets(tokens_TB: Tensor, lengths_B: Tensor, longest: int, buckets: int) -> Tensor:
    """The bucket of the run around every token, (N, T, B), for each length from 2 to ``longest``.

    A run of n tokens begins n // 2 tokens before its place, so that those at the edges of a
    document hold the edge. Each length has ``buckets`` of its own, one after the other.
    """
    steps = tokens_TB.shape[0]
    inside_TB = torch.arange(steps).unsqueeze(1) < lengths_B
    shifted = torch.where(inside_TB, tokens_TB.long() + 1, BEYOND)
    padded = functional.pad(shifted, (0, 0, longest, longest), value=BEYOND)
    found = []
    for index, length in enumerate(range(2, longest + 1)):
        hash_TB = torch.full_like(shifted, length)
        for offset in range(-(length // 2), (length + 1) // 2):
            begin = longest + offset
            hash_TB = (hash_TB * FACTOR + padded[begin : begin + steps]) % PRIME
        found.append(hash_TB % buckets + index * buckets)
    return torch.stack(found)
