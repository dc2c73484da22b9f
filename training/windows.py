"""The order in which training reads a stream: lanes side by side, cut into windows.

In every epoch the documents are permuted, joined in a circle that is turned by a random amount, and
the circle is cut into B lanes of equal length; each lane is read from left to right in windows, the
state carried from one to the next. The lengths of windows are jittered (Merity et al., 2018), so
that gradients are not always cut at the same places.

Restarts: now and then a lane begins a window as if a document began there: from the learned first
state, with [END] in the place of the token before. So the network learns to begin anywhere, as it
must when it is given a prompt from the middle of nowhere.

All is a function of the seed and the number of the epoch: a position is two integers. Shape
suffixes: T time, B lanes, W windows, N tokens. Knows no networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.corpus import Stream, Tokens

SHORTEST = 8  # a rest shorter than this is joined to the window before it


class Window(NamedTuple):
    """Inputs, what follows each of them, where documents begin, and how far the epoch is after."""

    inputs_TB: Tensor
    targets_TB: Tensor
    starts_TB: Tensor | None
    epoch_share: float


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
        circle_N = _turned_circle(self.stream, generator)
        steps = len(circle_N) // lanes
        inputs_TB = circle_N[: steps * lanes].reshape(lanes, steps).T.copy()
        targets_TB = np.roll(circle_N, -1)[: steps * lanes].reshape(lanes, steps).T.copy()
        bounds_W = _bounds(steps, self.length, generator)
        restarts_WB = generator.random((len(bounds_W) - 1, lanes)) < self.restart
        restarts_WB[0] = True  # what was read before lies elsewhere
        for begin, restarts_B in zip(bounds_W[:-1], restarts_WB, strict=True):
            inputs_TB[begin, restarts_B] = self.stream.end
        return Epoch(inputs_TB, targets_TB, bounds_W, self.stream.end)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass: its lanes, and the bounds of its windows."""

    inputs_TB: Tokens
    targets_TB: Tokens
    bounds_W: list[int]
    end: int

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.bounds_W) - 1

    def window(self, index: int) -> Window:
        """One window; as [END] is never read but before a document, it shows where one begins."""
        begin, end = self.bounds_W[index], self.bounds_W[index + 1]
        inputs_TB = torch.from_numpy(self.inputs_TB[begin:end])
        starts_TB = inputs_TB == self.end
        return Window(
            inputs_TB,
            torch.from_numpy(self.targets_TB[begin:end]),
            starts_TB if bool(starts_TB.any()) else None,
            end / len(self.inputs_TB),
        )

    def __iter__(self) -> Iterator[Window]:
        return (self.window(index) for index in range(len(self)))


def _turned_circle(stream: Stream, generator: np.random.Generator) -> Tokens:
    order_D = generator.permutation(len(stream.borders_D))
    joined_N = np.concatenate([stream.document(int(index)) for index in order_D])
    return np.roll(joined_N, -int(generator.integers(len(joined_N))))


def _bounds(steps: int, length: int, generator: np.random.Generator) -> list[int]:
    """Where windows begin and end: mostly near ``length``, one in twenty near half of it.

    Lengths are multiples of a twelfth of it: every new shape costs memory inside the libraries.
    """
    grain = max(1, length // 12)
    bounds = [0]
    while bounds[-1] < steps:
        centre = length if generator.random() < 0.95 else length / 2
        drawn = round(float(generator.normal(centre, length / 14)) / grain) * grain
        bounds.append(min(steps, bounds[-1] + max(min(SHORTEST, length), drawn)))
    if len(bounds) > 2 and bounds[-1] - bounds[-2] < SHORTEST:
        del bounds[-2]
    return bounds
