"""Windows of a token stream for truncated backpropagation through time (BPTT).

In every epoch the documents are permuted and joined to a circle, which is rotated by a random
amount and cut into B columns of equal length. Each column is read in windows, and the hidden state
is carried from one window to the next. The window lengths are random (Merity et al., 2018), so that
gradients are not always cut at the same places.

Restarts: with a small probability a column begins a window as if a document began there, from the
initial state and with [END] as the token before. So the network learns to begin anywhere in a text,
as a prompt may.

An epoch depends on the seed and the number of the epoch alone, so a position is two integers. A
window is gathered from the stream when it is read, so the stream may be larger than the memory.
Shape suffixes: T time, B columns, W windows, N tokens, D documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.token_stream import TokenArray, TokenStream

MIN_WINDOW_LENGTH = 8  # tokens; a shorter rest is joined to the window before it


class BPTTWindow(NamedTuple):
    """One window: inputs, targets, beginnings of documents, and the progress of the epoch after it.

    ``starts_TB`` is True where a document begins; None if none does.
    """

    inputs_TB: Tensor
    targets_TB: Tensor
    starts_TB: Tensor | None
    epoch_share: float

    def select(self, columns: slice) -> BPTTWindow:
        """The window of some of the columns."""
        starts_TB = None if self.starts_TB is None else self.starts_TB[:, columns]
        return BPTTWindow(
            self.inputs_TB[:, columns],
            self.targets_TB[:, columns],
            starts_TB if starts_TB is not None and bool(starts_TB.any()) else None,
            self.epoch_share,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BPTTLoader:
    """The order in which a stream is read.

    Args:
        stream: the training data.
        columns: the number of columns, B.
        length: the mean length of a window, in tokens.
        restart: the probability that a column begins a window from the initial state.
        seed: with the number of the epoch, decides the order.
    """

    stream: TokenStream
    columns: int
    length: int
    restart: float
    seed: int

    def epoch(self, number: int) -> BPTTEpoch:
        """The windows of one pass over the stream."""
        generator = np.random.default_rng([self.seed, number])
        columns = min(self.columns, len(self.stream))
        circle = _turned_circle(self.stream, generator)
        steps = len(self.stream) // columns
        bounds_W = _bounds(steps, self.length, generator)
        restarts_WB = np.empty((len(bounds_W) - 1, columns), dtype=np.bool_)
        for restarts_B in restarts_WB:
            restarts_B[:] = generator.random(columns) < self.restart
        restarts_WB[0] = True  # no column has a state to continue from
        return BPTTEpoch(circle, np.arange(columns) * steps, bounds_W, restarts_WB)


@dataclass(frozen=True, slots=True)
class _Circle:
    """The permuted documents of a stream, joined to a circle; a view, without a copy.

    Args:
        stream: the documents.
        firsts_D: the beginning of each document in the circle before its rotation.
        sources_D: the beginning of each document in the stream.
        turn: the rotation, in tokens.
    """

    stream: TokenStream
    firsts_D: TokenArray
    sources_D: TokenArray
    turn: int

    def tokens(self, positions: TokenArray) -> TokenArray:
        """The tokens at positions of the circle."""
        joined = (positions + self.turn) % len(self.stream)
        documents = np.searchsorted(self.firsts_D, joined, side="right") - 1
        sources = joined - self.firsts_D[documents] + self.sources_D[documents]
        tokens: TokenArray = self.stream.tokens_N[sources].astype(np.int64)
        return tokens


@dataclass(frozen=True, slots=True)
class BPTTEpoch:
    """One pass: the first positions of its columns, the bounds of its windows, its restarts."""

    circle: _Circle
    firsts_B: TokenArray
    bounds_W: list[int]
    restarts_WB: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.bounds_W) - 1

    def window(self, index: int) -> BPTTWindow:
        """The window at ``index``. [END] among its inputs marks the beginning of a document."""
        begin, end = self.bounds_W[index], self.bounds_W[index + 1]
        tokens_TB = self.circle.tokens(np.arange(begin, end + 1)[:, np.newaxis] + self.firsts_B)
        targets_TB = torch.from_numpy(tokens_TB[1:].copy())
        tokens_TB[0, self.restarts_WB[index]] = self.circle.stream.end
        inputs_TB = torch.from_numpy(tokens_TB[:-1])
        starts_TB = inputs_TB == self.circle.stream.end
        return BPTTWindow(
            inputs_TB,
            targets_TB,
            starts_TB if bool(starts_TB.any()) else None,
            end / self.bounds_W[-1],
        )

    def __iter__(self) -> Iterator[BPTTWindow]:
        return (self.window(index) for index in range(len(self)))


def _turned_circle(stream: TokenStream, generator: np.random.Generator) -> _Circle:
    order_D = generator.permutation(len(stream.borders_D))
    lengths_D = np.diff(stream.borders_D, append=len(stream))[order_D]
    return _Circle(
        stream,
        np.cumsum(lengths_D) - lengths_D,
        stream.borders_D[order_D],
        int(generator.integers(len(stream))),
    )


def _bounds(steps: int, length: int, generator: np.random.Generator) -> list[int]:
    """The bounds of the windows: most lengths near ``length``, one in twenty near half of it.

    Lengths are multiples of a twelfth of ``length``, since torch caches memory for each shape.
    """
    grain = max(1, length // 12)
    bounds = [0]
    while bounds[-1] < steps:
        center = length if generator.random() < 0.95 else length / 2
        drawn = round(float(generator.normal(center, length / 14)) / grain) * grain
        bounds.append(min(steps, bounds[-1] + max(min(MIN_WINDOW_LENGTH, length), drawn)))
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < MIN_WINDOW_LENGTH:
        del bounds[-2]
    return bounds
