"""The classifier kernel in PyTorch: logits of token lists, computed in short slices.

Each layer of the classifier of :mod:`model.networks` runs over slices of time with the state
carried over, so that a long document does not block running streams. Rows are padded in time to the
longest, and in number to a multiple of 8, which keeps a document's logits within 1e-6 in any batch.

Shape suffixes: T time, B rows, F features, H hidden, C labels.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor

from model.networks import Classifier, mirrored
from model.recurrent import LayerWeights, layer_weights
from model.state import State
from service.kernel.api.interface import FeatureSlices, LogitSlices

ROW_MULTIPLE = 8


class TorchClassifierKernel:
    """Implements :class:`service.kernel.api.interface.ClassifierKernel` for one network."""

    def __init__(self, network: Classifier, slice_tokens: int) -> None:
        self._network = network
        self._slice_tokens = slice_tokens

    def classify(self, documents: Sequence[Sequence[int]]) -> LogitSlices:
        """A generator that yields between slices and returns logits (rows, labels).

        Documents have at least one token each. A slice is one layer in one direction over about
        ``slice_tokens`` tokens, padding included.
        """
        tokens_TB, lengths_B = _padded(documents)
        words_TBE, values_TBF = yield from self._states(tokens_TB, lengths_B)
        with torch.inference_mode():
            logits_BC = self._network.label_logits(values_TBF, words_TBE, tokens_TB, lengths_B)
            return logits_BC[: len(documents)].numpy()

    def embed(self, documents: Sequence[Sequence[int]]) -> FeatureSlices:
        """As :meth:`classify`, but returns the pooled features (rows, features)."""
        tokens_TB, lengths_B = _padded(documents)
        words_TBE, values_TBF = yield from self._states(tokens_TB, lengths_B)
        with torch.inference_mode():
            pooled_BF = self._network.pooled_features(values_TBF, words_TBE, lengths_B)
            return pooled_BF[: len(documents)].numpy()

    @property
    def features(self) -> int:
        """The number of pooled features."""
        return self._network.architecture.pooled

    def _states(
        self, tokens_TB: Tensor, lengths_B: Tensor
    ) -> Generator[None, None, tuple[Tensor, Tensor]]:
        """Word vectors and the outputs of the last layer."""
        with torch.inference_mode():
            words_TBE = values = self._network.token_vectors(tokens_TB, lengths_B)
        for layer in range(self._network.architecture.layers):
            values = yield from self._read(values, layer, lengths_B)
        return words_TBE, values

    def _read(
        self, values_TBF: Tensor, layer: int, lengths_B: Tensor
    ) -> Generator[None, None, Tensor]:
        """One layer, in both directions if there are two; the backward one starts at each row's
        last token.
        """
        forward_TBH = yield from self._run(values_TBF, layer, reverse=False)
        if not self._network.architecture.bidirectional:
            return forward_TBH
        with torch.inference_mode():
            mirrored_TBF = mirrored(values_TBF, lengths_B)
        backward_TBH = yield from self._run(mirrored_TBF, layer, reverse=True)
        with torch.inference_mode():
            return torch.cat([forward_TBH, mirrored(backward_TBH, lengths_B)], dim=2)

    def _run(
        self, values_TBF: Tensor, layer: int, *, reverse: bool
    ) -> Generator[None, None, Tensor]:
        steps, rows = values_TBF.shape[:2]
        slice_steps = max(1, self._slice_tokens // rows)
        weights, state = self._start(layer, rows, reverse=reverse)
        parts = []
        for begin in range(0, steps, slice_steps):
            with torch.inference_mode():
                part_TBH, state = weights.run(values_TBF[begin : begin + slice_steps], state)
            parts.append(part_TBH)
            yield
        with torch.inference_mode():
            return torch.cat(parts)

    def _start(self, layer: int, rows: int, *, reverse: bool) -> tuple[LayerWeights, State]:
        network = self._network
        cell = network.architecture.cell
        cell_L1H = network.initial_cell_L1H if cell == "lstm" else None
        index = layer * network.architecture.directions + reverse
        with torch.inference_mode():
            first = State(network.initial_hidden_L1H, cell_L1H).layer(index).expand(rows)
        return layer_weights(network.recurrent, cell, layer, reverse=reverse), first


def _padded(documents: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Tokens (time, rows) padded with id 0, and lengths. Padding rows have one token."""
    rows = len(documents) + -len(documents) % ROW_MULTIPLE
    lengths = [len(document) for document in documents]
    tokens_TB = torch.zeros(max(lengths), rows, dtype=torch.long)
    for row, document in enumerate(documents):
        tokens_TB[: len(document), row] = torch.tensor(document)
    return tokens_TB, torch.tensor(lengths + [1] * (rows - len(documents)))
