"""Random excerpts of documents, for the analysis of networks.

An excerpt lies within one document. It is read from the initial state, with [END] before its first
token, as if the document began there. Shapes: T time steps, B excerpts, D documents, N positions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from training.data.token_stream import TokenStream
from training.errors import DataError


class Excerpts(NamedTuple):
    """Inputs [END] x_1 .. x_(n-1) and targets x_1 .. x_n."""

    inputs_TB: Tensor
    targets_TB: Tensor

    def last(self, steps: int) -> Excerpts:
        """The last ``steps`` targets; [END] replaces the token before the first of them."""
        inputs_TB = self.inputs_TB[-steps:].clone()
        inputs_TB[0] = self.inputs_TB[0]
        return Excerpts(inputs_TB, self.targets_TB[-steps:])

    def split(self, rows: int) -> list[Excerpts]:
        """Batches of at most ``rows`` excerpts."""
        inputs, targets = self.inputs_TB.split(rows, dim=1), self.targets_TB.split(rows, dim=1)
        return [Excerpts(*batch) for batch in zip(inputs, targets, strict=True)]


class ExcerptSource:
    """Draws excerpts of one length from a stream.

    Args:
        stream: the text.
        length: of an excerpt, in tokens.
        named: the name of the text, for the error message.
        options: the options that determine ``length``, for the error message.

    Raises:
        DataError: no document is long enough.
    """

    def __init__(self, stream: TokenStream, *, length: int, named: str, options: str) -> None:
        lengths_D = np.diff(stream.borders_D, append=len(stream)) - 1  # without [END]
        counts_D = np.maximum(0, lengths_D - length + 1)
        if not counts_D.any():
            raise DataError(
                f"{named}: the longest document has {int(lengths_D.max())} tokens, an excerpt "
                f"needs {length}; give longer documents, or lower {options}"
            )
        self._stream, self._length = stream, length
        self._firsts_N = np.concatenate(
            [
                np.arange(border + 1, border + 1 + count)
                for border, count in zip(stream.borders_D, counts_D, strict=True)
            ]
        )

    def draw(self, rows: int, generator: np.random.Generator) -> Excerpts:
        """``rows`` excerpts, with replacement; all positions have the same probability."""
        firsts_B = generator.choice(self._firsts_N, rows)
        places_TB = firsts_B + np.arange(self._length)[:, np.newaxis]
        targets_TB = torch.from_numpy(self._stream.tokens_N[places_TB])
        inputs_TB = torch.full_like(targets_TB, self._stream.end)
        inputs_TB[1:] = targets_TB[:-1]
        return Excerpts(inputs_TB, targets_TB)
