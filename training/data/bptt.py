"""The order in which training reads a stream: lanes side by side, cut into windows.

In every epoch the documents are permuted, joined in a circle that is turned by a random amount, and
the circle is cut into B lanes of equal length; each lane is read from left to right in windows, the
state carried from one to the next. The lengths of windows are jittered (Merity et al., 2018), so
that gradients are not always cut at the same places.

Restarts: now and then a lane begins a window as if a document began there: from the learned first
state, with [END] in the place of the token before. So the network learns to begin anywhere, as it
must when it is given a prompt from the middle of nowhere.

All is a function of the seed and the number of the epoch: a position is two integers. A window is
gathered from the stream when it is read, so the stream may be larger than the memory. Shape
suffixes: T time, B lanes, W windows, N tokens, D documents. Knows no networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.data.token_stream import Stream, Tokens

SHORTEST = 8  # a rest shorter than this is joined to the window before it


class Window(NamedTuple):
    """Inputs, what follows each of them, where documents begin, and how far the epoch is after."""

    inputs_TB: Tensor
    targets_TB: Tensor
    starts_TB: Tensor | None
    epoch_share: float

    def part(self, lanes: slice) -> Window:
        """The same window of some of the lanes."""
        starts_TB = None if self.starts_TB is None else self.starts_TB[:, lanes]
        return Window(
            self.inputs_TB[:, lanes],
            self.targets_TB[:, lanes],
            starts_TB if starts_TB is not None and bool(starts_TB.any()) else None,
            self.epoch_share,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """How a stream is read. ``length`` is the usual window, ``restart`` a lane's chance of one."""

    stream: Stream
    lanes: int
    length: int
    restart: float
    seed: int

    def epoch(self, number: int) -> Epoch:
        """The order of one pass over the stream."""
        generator = np.random.default_rng([self.seed, number])
        lanes = min(self.lanes, len(self.stream))
        circle = _turned_circle(self.stream, generator)
        steps = len(self.stream) // lanes
        bounds_W = _bounds(steps, self.length, generator)
        restarts_WB = np.empty((len(bounds_W) - 1, lanes), dtype=np.bool_)
        for restarts_B in restarts_WB:
            restarts_B[:] = generator.random(lanes) < self.restart
        restarts_WB[0] = True  # what was read before lies elsewhere
        return Epoch(circle, np.arange(lanes) * steps, bounds_W, restarts_WB)


@dataclass(frozen=True, slots=True)
class _Circle:
    """The documents of a stream in another order, joined and turned; nothing of them is copied.

    ``firsts_D`` holds where each document begins, in that order, before the circle is turned by
    ``turn``, and ``sources_D`` where it begins in the stream.
    """

    stream: Stream
    firsts_D: Tokens
    sources_D: Tokens
    turn: int

    def tokens(self, places: Tokens) -> Tokens:
        """What stands at these places of the circle."""
        joined = (places + self.turn) % len(self.stream)
        documents = np.searchsorted(self.firsts_D, joined, side="right") - 1
        sources = joined - self.firsts_D[documents] + self.sources_D[documents]
        tokens: Tokens = self.stream.tokens_N[sources].astype(np.int64)
        return tokens


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass: where its lanes begin in the circle, the bounds of its windows, its restarts."""

    circle: _Circle
    lanes_B: Tokens
    bounds_W: list[int]
    restarts_WB: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.bounds_W) - 1

    def window(self, index: int) -> Window:
        """One window; as [END] is never read but before a document, it shows where one begins."""
        begin, end = self.bounds_W[index], self.bounds_W[index + 1]
        tokens_TB = self.circle.tokens(np.arange(begin, end + 1)[:, np.newaxis] + self.lanes_B)
        targets_TB = torch.from_numpy(tokens_TB[1:].copy())
        tokens_TB[0, self.restarts_WB[index]] = self.circle.stream.end
        inputs_TB = torch.from_numpy(tokens_TB[:-1])
        starts_TB = inputs_TB == self.circle.stream.end
        return Window(
            inputs_TB,
            targets_TB,
            starts_TB if bool(starts_TB.any()) else None,
            end / self.bounds_W[-1],
        )

    def __iter__(self) -> Iterator[Window]:
        return (self.window(index) for index in range(len(self)))


def _turned_circle(stream: Stream, generator: np.random.Generator) -> _Circle:
    order_D = generator.permutation(len(stream.borders_D))
    lengths_D = np.diff(stream.borders_D, append=len(stream))[order_D]
    return _Circle(
        stream,
        np.cumsum(lengths_D) - lengths_D,
        stream.borders_D[order_D],
        int(generator.integers(len(stream))),
    )


def _bounds(steps: int, length: int, generator: np.random.Generator) -> list[int]:
    """Where windows begin and end: mostly near ``length``, one in twenty near half of it.

    Lengths are multiples of a twelfth of it: every new shape costs memory inside the libraries.
    """
    grain = max(1, length // 12)
    bounds = [0]
    while bounds[-1] < steps:
        center = length if generator.random() < 0.95 else length / 2
        drawn = round(float(generator.normal(center, length / 14)) / grain) * grain
        bounds.append(min(steps, bounds[-1] + max(min(SHORTEST, length), drawn)))
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < SHORTEST:
        del bounds[-2]
    return bounds
