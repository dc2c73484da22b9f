"""Short pieces of documents, drawn at random, for looking into networks.

An excerpt lies within one document; it is read as if the document began there, with [END] before
its first token, as training's restarts do. Shape suffixes: T time, B rows. Knows no networks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data.token_stream import Stream
from training.errors import DataError


class Excerpts(NamedTuple):
    """What is read and what follows each token of it: [END] x1 .. xn-1, and x1 .. xn."""

    inputs_TB: Tensor
    targets_TB: Tensor

    def last(self, steps: int) -> Excerpts:
        """The last ``steps`` targets, with [END] in the place of what stood before the first."""
        inputs_TB = self.inputs_TB[-steps:].clone()
        inputs_TB[0] = self.inputs_TB[0]
        return Excerpts(inputs_TB, self.targets_TB[-steps:])

    def split(self, rows: int) -> list[Excerpts]:
        """The same, so many at a time."""
        inputs, targets = self.inputs_TB.split(rows, dim=1), self.targets_TB.split(rows, dim=1)
        return [Excerpts(*part) for part in zip(inputs, targets, strict=True)]


class ExcerptSource:
    """Draws excerpts of one length from a stream.

    Raises:
        DataError: no document is long enough.
    """

    def __init__(self, stream: Stream, *, length: int, named: str, options: str) -> None:
        lengths_D = np.diff(stream.borders_D, append=len(stream)) - 1  # without [END]
        places_D = np.maximum(0, lengths_D - length + 1)
        if not places_D.any():
            raise DataError(
                f"{named}: the longest document has {int(lengths_D.max())} tokens, {length} are "
                f"read at a time; give longer documents, or lower {options}"
            )
        self._stream, self._length = stream, length
        self._firsts_N = np.concatenate(
            [
                np.arange(border + 1, border + 1 + places)
                for border, places in zip(stream.borders_D, places_D, strict=True)
            ]
        )

    def draw(self, rows: int, generator: np.random.Generator) -> Excerpts:
        """So many excerpts, each equally likely to begin anywhere it can."""
        firsts_B = generator.choice(self._firsts_N, rows)
        places_TB = firsts_B + np.arange(self._length)[:, np.newaxis]
        targets_TB = torch.from_numpy(self._stream.tokens_N[places_TB])
        inputs_TB = torch.full_like(targets_TB, self._stream.end)
        inputs_TB[1:] = targets_TB[:-1]
        return Excerpts(inputs_TB, targets_TB)
