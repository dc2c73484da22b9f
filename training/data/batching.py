"""Batches of documents of similar length, cut by a budget of tokens.

A batch is about as wide as its longest document, so sorting by length keeps padding small, and a
budget of tokens (padding included) keeps every step about equally long. Order is decided by a seed
and the number of the epoch alone, so that a resumed run finds its place without stored state.
Widths are few, for the sake of memory.

Does not know networks or labels' names. Shapes: T time, B rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Documents are sorted within pools of this many batches: wide enough for little padding, narrow
# enough that which documents meet in a batch differs from epoch to epoch.
POOL_BATCHES = 50
PADDING = 0


@dataclass(frozen=True, slots=True)
class Documents:
    """Encoded documents, each of at least one token, and the index of each one's label (or -1:
    out of scope).
    """

    tokens: Sequence[Sequence[int]]
    labels: Sequence[int]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> list[int]:
        """Tokens in each document."""
        return [len(tokens) for tokens in self.tokens]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one step; beyond its length a row holds padding, which has no meaning."""

    tokens_TB: Tensor
    lengths_B: Tensor
    labels_B: Tensor
    indices: Sequence[int]

    @property
    def tokens(self) -> int:
        """How many tokens are read, padding not counted."""
        return int(self.lengths_B.sum())


def cropped(documents: Documents, window: int, *, seed: int, epoch: int) -> Documents:
    """The documents with a random window in the place of each that is longer, another each epoch.

    So one long document becomes many short ones, each with its label.
    """
    random = np.random.default_rng((seed, epoch, window))
    starts = [int(random.integers(max(1, n - window + 1))) for n in documents.lengths]
    tokens = [
        document[start : start + window]
        for document, start in zip(documents.tokens, starts, strict=True)
    ]
    return Documents(tokens, documents.labels)


def epoch_batches(lengths: Sequence[int], *, budget: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch as indices of documents, each document once, in random order.

    Args:
        lengths: tokens in each document.
        budget: the most tokens in a batch, padding included; a longer document is a batch alone.
        seed: with `epoch`, decides the order.
        epoch: counted from 0.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    pool = max(1, POOL_BATCHES * budget * len(lengths) // sum(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        batches.extend(_fill(order[start : start + pool].tolist(), lengths, budget))
    return [batches[position] for position in random.permutation(len(batches))]


def sorted_batches(lengths: Sequence[int], *, budget: int) -> list[list[int]]:
    """The batches for evaluation: all documents, longest first."""
    return _fill(range(len(lengths)), lengths, budget)


def _fill(indices: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cuts the documents, longest first, into batches of as many rows as their width allows."""
    order = sorted(indices, key=lambda index: -lengths[index])
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        rows = max(1, budget // padded_width(lengths[order[start]]))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def padded_width(length: int) -> int:
    """The length, rounded up by at most an eighth (and to an even number).

    The libraries keep something for every shape they have met: with a width and a number of rows
    for each batch, memory would grow for as long as a run lasts (pytorch issue 27971).
    """
    step = 1 << max(1, length.bit_length() - 4)
    return -(-length // step) * step


def collate(documents: Documents, indices: Sequence[int]) -> Batch:
    """The documents at `indices` as one padded batch."""
    rows = [documents.tokens[index] for index in indices]
    tokens_TB = torch.full((padded_width(max(map(len, rows))), len(rows)), PADDING)
    for row, tokens in enumerate(rows):
        tokens_TB[: len(tokens), row] = torch.tensor(tokens)
    return Batch(
        tokens_TB,
        torch.tensor([len(tokens) for tokens in rows]),
        torch.tensor([documents.labels[index] for index in indices]),
        indices,
    )
