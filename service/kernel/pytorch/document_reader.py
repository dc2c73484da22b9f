"""Reads a document part by part: the state after a part has a fixed size, as a sequence's state.

The state holds all that the labels depend on: the recurrent state, and the maxima and sums over
time that the classifier pools. Each further token has a constant cost. Arithmetic is float32.

Shape suffixes: T time, L layers, H hidden, E embedding, F pooled features (H, or H + E with word
vectors, or 0), C labels.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.architecture import ClassifierArchitecture
from model.networks import Classifier
from model.recurrent import layer_weights
from model.state import State
from service.kernel.api.interface import FloatArray


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A document after ``token_count`` tokens.

    ``state``: one row. ``largest_F`` and ``sum_F``: over time, of the last layer's outputs and
    then of the word vectors, as far as the classifier pools them; zeros before the first token.
    """

    token_count: int
    state: State
    largest_F: Tensor
    sum_F: Tensor


def obstacle_to_reading_on(architecture: ClassifierArchitecture) -> str | None:
    """The reason why a model has no state of fixed size after a part of a document; None if it
    has one.
    """
    if architecture.bidirectional:
        return "the model reads documents in both directions"
    if architecture.ngrams > 1:
        return "the model reads n-grams, which depend on later tokens"
    if architecture.linear_ngrams > 0:
        return "the model has a linear part, which counts the n-grams of the whole document"
    return None


class DocumentReader:
    """Reads documents with one classifier.

    Args:
        network: a classifier for which :func:`obstacle_to_reading_on` is None.
        slice_tokens: tokens of one layer that are read between two yields.
    """

    def __init__(self, network: Classifier, slice_tokens: int) -> None:
        architecture = network.architecture
        self._network = network
        self._slice_tokens = max(1, slice_tokens // architecture.layers)
        self._weights = [
            layer_weights(network.recurrent, architecture.cell, layer)
            for layer in range(architecture.layers)
        ]

    def first(self) -> DocumentState:
        """The state before the first token."""
        network = self._network
        cell_L1H = network.initial_cell_L1H if network.architecture.cell == "lstm" else None
        zeros_F = torch.zeros(pooled_over_time(network.architecture))
        state = State(network.initial_hidden_L1H, cell_L1H).detach()
        return DocumentState(0, state, zeros_F, zeros_F)

    def read(
        self, tokens: Sequence[int], document: DocumentState
    ) -> Generator[None, None, DocumentState]:
        """A generator that yields between slices and returns the state after the tokens."""
        for begin in range(0, len(tokens), self._slice_tokens):
            with torch.inference_mode():
                document = self._read(tokens[begin : begin + self._slice_tokens], document)
            yield
        return document

    def logits(self, document: DocumentState) -> FloatArray:
        """Logits (1, C) of a document of at least one token."""
        network = self._network
        hidden = network.architecture.hidden
        mean_F = document.sum_F / document.token_count
        parts = [document.state.hidden_LBH[-1, 0]]
        if network.architecture.pooling != "last":
            parts += [document.largest_F[:hidden], mean_F[:hidden]]
        if network.architecture.pools_words:
            parts += [document.largest_F[hidden:], mean_F[hidden:]]
        with torch.inference_mode():
            return network.logits_of_pooled(torch.cat(parts).unsqueeze(0)).numpy()

    def _read(self, tokens: Sequence[int], document: DocumentState) -> DocumentState:
        """The state after a slice of at least one token."""
        architecture = self._network.architecture
        tokens_T1 = torch.tensor(tokens).unsqueeze(1)
        words_T1E = self._network.token_vectors(tokens_T1, torch.tensor([len(tokens)]))
        values, layers = words_T1E, []
        for index, weights in enumerate(self._weights):
            values, state = weights.run(values, document.state.layer(index))
            layers.append(state)
        pooled = [] if architecture.pooling == "last" else [values[:, 0]]
        if architecture.pools_words:
            pooled.append(words_T1E[:, 0])
        count = document.token_count + len(tokens)
        if not pooled:
            return DocumentState(count, State.stack(layers), document.largest_F, document.sum_F)
        values_TF = torch.cat(pooled, dim=1)
        largest_F = values_TF.amax(dim=0)
        if document.token_count > 0:
            largest_F = largest_F.maximum(document.largest_F)
        sum_F = document.sum_F + values_TF.sum(dim=0)
        return DocumentState(count, State.stack(layers), largest_F, sum_F)


def pooled_over_time(architecture: ClassifierArchitecture) -> int:
    """The number of features that a one-directional classifier pools over time."""
    if architecture.pooling == "last":
        return 0
    return architecture.hidden + (architecture.embedding if architecture.pools_words else 0)
