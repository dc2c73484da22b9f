"""Loss of a language model by the frequency of the token and by its position in the document.

Word and character vocabularies are sorted by frequency in the training text, so a token's id is its
rank there. Byte pair vocabularies are not; their tokens are grouped by their count in the evaluated
text. Shapes: N predictions, D documents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from model.tokenization.tokenizer import END, UNKNOWN, Tokenizer
from training.data.token_stream import TokenStream

TokenIds = npt.NDArray[np.int64]
TokenLosses = npt.NDArray[np.float64]
FREQUENCY_EDGES = (
    *(1, 4, 11, 31, 101, 301, 1_001, 3_001, 10_001, 30_001, 100_001, 300_001, 1_000_001),
    2**40,
)
POSITION_EDGES = tuple(2**power for power in range(41))
MIN_PREDICTIONS = 5  # fewer have no standard error


@dataclass(frozen=True, slots=True)
class LossBin:
    """Predictions of one kind: their number, mean loss in nats, and its standard error.

    ``error`` is None for fewer than ``MIN_PREDICTIONS``.
    """

    label: str
    tokens: int
    loss: float
    error: float | None


@dataclass(frozen=True, slots=True)
class FrequencyBins:
    """Bins from frequent to rare tokens; ``basis`` names the quantity that the labels give."""

    basis: str
    bins: list[LossBin]


def targets_of(stream: TokenStream) -> TokenIds:
    """The target of each prediction of a stream; the last target is the first token."""
    return np.roll(stream.tokens_N, -1)


def by_frequency(stream: TokenStream, losses_N: TokenLosses, tokenizer: Tokenizer) -> FrequencyBins:
    """Losses by the rank of the token in the training text, or by its count in ``stream``.

    [UNK] and [END] have a bin each.
    """
    targets_N = targets_of(stream)
    special_N = targets_N == tokenizer.end
    special_bins = [_bin(END, losses_N[special_N])]
    if tokenizer.unknown is None:
        keys_N = np.bincount(targets_N, minlength=tokenizer.size)[targets_N]
        basis, order = "occurrences of the token in this text", -1
    else:
        unknown_N = targets_N == tokenizer.unknown
        special_N |= unknown_N
        special_bins.insert(0, _bin(UNKNOWN, losses_N[unknown_N]))
        keys_N, basis, order = targets_N, "rank of the token in the training text", 1
    bins = _bins(keys_N[~special_N], losses_N[~special_N], FREQUENCY_EDGES)[::order]
    return FrequencyBins(basis, [*bins, *(bin_ for bin_ in special_bins if bin_.tokens)])


def by_position(stream: TokenStream, losses_N: TokenLosses) -> list[LossBin]:
    """Losses by the position of the token in its document; the first token has position 1."""
    lengths_D = np.diff(np.append(stream.borders_D, len(stream)))
    positions_N = np.arange(len(stream)) - np.repeat(stream.borders_D, lengths_D) + 1
    return _bins(positions_N, losses_N, POSITION_EDGES)


def _bins(keys_N: TokenIds, losses_N: TokenLosses, edges: tuple[int, ...]) -> list[LossBin]:
    """The bins between neighboring edges (the upper one excluded) that hold any prediction."""
    indices_N = np.searchsorted(edges, keys_N, side="right") - 1
    bins = []
    for index, (begin, end) in enumerate(pairwise(edges)):
        in_bin_N = losses_N[indices_N == index]
        if len(in_bin_N):
            label = f"{begin:,}" if end - begin == 1 else f"{begin:,}–{end - 1:,}"
            bins.append(_bin(label, in_bin_N))
    return bins


def _bin(label: str, losses_N: TokenLosses) -> LossBin:
    count = len(losses_N)
    if count == 0:
        return LossBin(label, 0, 0.0, None)
    error = float(losses_N.std(ddof=1)) / math.sqrt(count) if count >= MIN_PREDICTIONS else None
    return LossBin(label, count, float(losses_N.mean()), error)
