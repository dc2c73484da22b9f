"""Batches of documents of similar length, limited by a number of tokens.

A batch is about as wide as its longest document, so sorting by length keeps padding small, and the
limit on tokens (padding included) keeps all steps about equally long. The order depends on a seed
and the number of the epoch alone, so that a resumed run finds its position without stored state.
Shape suffixes: T time, B rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Documents are sorted within pools of this many batches: large enough for little padding, small
# enough that each epoch combines other documents in a batch.
POOL_BATCHES = 50
PADDING_TOKEN = 0
LabelSets = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class EncodedDocuments:
    """Token ids and labels of each document.

    A document has at least one token. Labels are an index for each document, -1 for one out of
    scope, or for a multi-label classifier an array of bool (documents, labels).
    """

    tokens: Sequence[Sequence[int]]
    labels: Sequence[int] | LabelSets

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> list[int]:
        """The number of tokens in each document."""
        return [len(tokens) for tokens in self.tokens]

    @property
    def label_tensor(self) -> Tensor:
        """The labels as in a batch of all documents."""
        return _label_tensor(self.labels)

    def at(self, places: Sequence[int]) -> EncodedDocuments:
        """The documents at the places."""
        labels = self.labels
        return EncodedDocuments(
            [self.tokens[place] for place in places],
            labels[list(places)]
            if isinstance(labels, np.ndarray)
            else [labels[place] for place in places],
        )


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """The documents of one step. Beyond its length a row holds padding.

    ``labels_B``: label indices, or for a multi-label classifier 1 for each label of a document and
    0 for the others, (B, labels).
    """

    tokens_TB: Tensor
    lengths_B: Tensor
    labels_B: Tensor
    indices: Sequence[int]

    @property
    def tokens(self) -> int:
        """The number of tokens without padding."""
        return int(self.lengths_B.sum())


def crop_documents(
    documents: EncodedDocuments, window: int, *, seed: int, epoch: int
) -> EncodedDocuments:
    """The documents, those longer than ``window`` tokens replaced by a random window of them.

    Each epoch reads another window.
    """
    random = np.random.default_rng((seed, epoch, window))
    starts = [int(random.integers(max(1, n - window + 1))) for n in documents.lengths]
    tokens = [
        document[start : start + window]
        for document, start in zip(documents.tokens, starts, strict=True)
    ]
    return EncodedDocuments(tokens, documents.labels)


def epoch_batches(lengths: Sequence[int], *, budget: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch, as indices of documents, in random order.

    Args:
        lengths: the number of tokens in each document.
        budget: the largest number of tokens in a batch, padding included; a longer document is a
            batch of its own.
        seed: with ``epoch``, decides the order.
        epoch: the number of the epoch, from 0.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    pool = max(1, POOL_BATCHES * budget * len(lengths) // sum(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), pool):
        batches.extend(_fill(order[start : start + pool].tolist(), lengths, budget))
    return [batches[position] for position in random.permutation(len(batches))]


def sorted_batches(lengths: Sequence[int], *, budget: int) -> list[list[int]]:
    """The batches for evaluation, as indices of documents, longest first."""
    return _fill(range(len(lengths)), lengths, budget)


def _fill(indices: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Divides the documents, longest first, into batches of as many rows as ``budget`` allows."""
    order = sorted(indices, key=lambda index: -lengths[index])
    batches: list[list[int]] = []
    start = 0
    while start < len(order):
        rows = max(1, budget // padded_width(lengths[order[start]]))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def padded_width(length: int) -> int:
    """The length, rounded up by at most an eighth and to an even number.

    Torch caches memory for each shape, so that many widths would make memory grow for as long as a
    run lasts (pytorch issue 27971).
    """
    step = 1 << max(1, length.bit_length() - 4)
    return -(-length // step) * step


def collate(documents: EncodedDocuments, indices: Sequence[int]) -> PaddedBatch:
    """The documents at ``indices`` as one padded batch."""
    rows = [documents.tokens[index] for index in indices]
    tokens_TB = torch.full((padded_width(max(map(len, rows))), len(rows)), PADDING_TOKEN)
    for row, tokens in enumerate(rows):
        tokens_TB[: len(tokens), row] = torch.tensor(tokens)
    return PaddedBatch(
        tokens_TB,
        torch.tensor([len(tokens) for tokens in rows]),
        documents.at(indices).label_tensor,
        indices,
    )


def _label_tensor(labels: Sequence[int] | LabelSets) -> Tensor:
    if isinstance(labels, np.ndarray):
        return torch.from_numpy(labels).float()
    return torch.tensor(labels)
