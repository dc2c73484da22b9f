"""Where a language model's loss comes from: by how frequent a token is, and by its place.

Word and character vocabularies are sorted by how often a token stands in the training text, so its
id is its rank there. Byte pair encodings are not; their tokens are sorted by how often they stand
in the text that is read. Shapes: N predictions. Knows no networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from model.tokenization.tokenizer import END, UNKNOWN, Tokenizer
from training.data.token_stream import Stream

Numbers = npt.NDArray[np.int64]
Losses = npt.NDArray[np.float64]
THIRDS = (1, 4, 11, 31, 101, 301, 1_001, 3_001, 10_001, 30_001, 100_001, 300_001, 1_000_001, 2**40)
FEW = 5
POWERS = tuple(2**power for power in range(41))


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of one kind: how many, their mean loss in nats, and its standard error.

    Of fewer than FEW predictions no error can be told; it is None.
    """

    label: str
    tokens: int
    loss: float
    error: float | None


@dataclass(frozen=True, slots=True)
class FrequencyBins:
    """``basis`` says what the labels count; the most frequent tokens come first."""

    basis: str
    bins: list[Bin]


def targets_of(stream: Stream) -> Numbers:
    """What each prediction of a stream is to predict; the last one closes the circle."""
    return np.roll(stream.tokens_N, -1)


def by_frequency(stream: Stream, losses_N: Losses, tokenizer: Tokenizer) -> FrequencyBins:
    """Losses by the rank of the token in training, or else by its number of times in this text."""
    targets_N = targets_of(stream)
    special_N = targets_N == tokenizer.end
    bins = [_bin(END, losses_N[special_N])]
    if tokenizer.unknown is None:
        keys_N = np.bincount(targets_N, minlength=tokenizer.size)[targets_N]
        basis, order = "times that the token stands in this text", -1
    else:
        unknown_N = targets_N == tokenizer.unknown
        special_N |= unknown_N
        bins.insert(0, _bin(UNKNOWN, losses_N[unknown_N]))
        keys_N, basis, order = targets_N, "rank of the token in the training text", 1
    usual = _bins(keys_N[~special_N], losses_N[~special_N], THIRDS)[::order]
    return FrequencyBins(basis, [*usual, *(found for found in bins if found.tokens)])


def by_position(stream: Stream, losses_N: Losses) -> list[Bin]:
    """Losses by the place of the token in its document, the first token being 1."""
    lengths_D = np.diff(np.append(stream.borders_D, len(stream)))
    places_N = np.arange(len(stream)) - np.repeat(stream.borders_D, lengths_D) + 1
    return _bins(places_N, losses_N, POWERS)


def _bins(keys_N: Numbers, losses_N: Losses, edges: tuple[int, ...]) -> list[Bin]:
    """One for each stretch of keys from one edge to before the next that has any."""
    places_N = np.searchsorted(edges, keys_N, side="right") - 1
    found = []
    for place, (begin, end) in enumerate(pairwise(edges)):
        chosen_N = losses_N[places_N == place]
        if len(chosen_N):
            label = f"{begin:,}" if end - begin == 1 else f"{begin:,}–{end - 1:,}"
            found.append(_bin(label, chosen_N))
    return found


def _bin(label: str, losses_N: Losses) -> Bin:
    count = len(losses_N)
    if count == 0:
        return Bin(label, 0, 0.0, None)
    error = float(losses_N.std(ddof=1)) / math.sqrt(count) if count >= FEW else None
    return Bin(label, count, float(losses_N.mean()), error)
