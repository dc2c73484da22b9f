"""Reads a document part by part: the state after a part has a fixed size, as a sequence's state.

The state holds all that the labels depend on: the recurrent state, and the maxima and sums over
time that the classifier pools. Each further token has a constant cost. Arithmetic is float32.

Shape suffixes: T time, L layers, H hidden, E embedding, F pooled features (H, or H + E with word
vectors, or 0), C labels.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from model.architecture import ClassifierArchitecture
from model.storage.weights import Weights
from service.kernel.api.interface import FloatArray
from service.kernel.api.row_state import RowState, first_state
from service.kernel.documents.cells import numpy_layer

# Steps of one layer in a slice, about 2 ms: they hold the interpreter's lock most of the time.
MOST_SLICE_STEPS = 128


@dataclass(frozen=True, slots=True)
class DocumentState:
    """A document after ``token_count`` tokens.

    ``largest_F`` and ``sum_F``: over time, of the last layer's outputs and
    then of the word vectors, as far as the classifier pools them; zeros before the first token.
    """

    token_count: int
    state: RowState
    largest_F: FloatArray
    sum_F: FloatArray


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
        weights: of a classifier for which :func:`obstacle_to_reading_on` is None.
        slice_tokens: most tokens of one layer that are read between two yields.
    """

    def __init__(self, weights: Weights[ClassifierArchitecture], slice_tokens: int) -> None:
        self._architecture = a = weights.architecture
        self._slice_tokens = max(1, min(slice_tokens, MOST_SLICE_STEPS) // a.layers)
        self._layers = [numpy_layer(weights, layer) for layer in range(a.layers)]
        self._embedding_VE = weights.arrays["embedding.weight"]  # as stored: half is not expanded
        self._mlp, self._output = (
            (weights[f"{name}.weight"].T.copy(), weights[f"{name}.bias"])
            for name in ("mlp", "output")
        )
        self._first = first_state(weights)

    def first(self) -> DocumentState:
        """The state before the first token."""
        zeros_F = np.zeros(pooled_over_time(self._architecture), dtype=np.float32)
        return DocumentState(0, self._first, zeros_F, zeros_F)

    def read(
        self, tokens: Sequence[int], document: DocumentState
    ) -> Generator[None, None, DocumentState]:
        """A generator that yields between slices and returns the state after the tokens."""
        for begin in range(0, len(tokens), self._slice_tokens):
            document = self._read(tokens[begin : begin + self._slice_tokens], document)
            yield
        return document

    def logits(self, document: DocumentState) -> FloatArray:
        """Logits (1, C) of a document of at least one token."""
        hidden = self._architecture.hidden
        mean_F = document.sum_F / np.float32(document.token_count)
        parts = [document.state.values_PLH[0, -1]]
        if self._architecture.pooling != "last":
            parts += [document.largest_F[:hidden], mean_F[:hidden]]
        if self._architecture.pools_words:
            parts += [document.largest_F[hidden:], mean_F[hidden:]]
        hidden_1M = np.maximum(np.concatenate(parts)[None] @ self._mlp[0] + self._mlp[1], 0)
        return np.asarray(hidden_1M @ self._output[0] + self._output[1])

    def _read(self, tokens: Sequence[int], document: DocumentState) -> DocumentState:
        """The state after a slice of at least one token."""
        values_TF = words_TE = self._embedding_VE[np.asarray(tokens)].astype(np.float32)
        after_PLH = np.empty_like(document.state.values_PLH)
        for index, layer in enumerate(self._layers):
            before_PH = document.state.values_PLH[:, index]
            values_TF, after_PLH[:, index] = layer.run(values_TF, before_PH)
        state, count = RowState(after_PLH), document.token_count + len(tokens)
        if self._architecture.pooling == "last":
            return DocumentState(count, state, document.largest_F, document.sum_F)
        if self._architecture.pools_words:
            values_TF = np.concatenate([values_TF, words_TE], axis=1)
        largest_F = values_TF.max(axis=0)
        if document.token_count > 0:
            largest_F = np.maximum(largest_F, document.largest_F)
        return DocumentState(count, state, largest_F, document.sum_F + values_TF.sum(axis=0))


def pooled_over_time(architecture: ClassifierArchitecture) -> int:
    """The number of features that a one-directional classifier pools over time."""
    if architecture.pooling == "last":
        return 0
    return architecture.hidden + (architecture.embedding if architecture.pools_words else 0)
