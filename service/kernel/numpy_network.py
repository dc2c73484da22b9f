"""The networks of :mod:`model.networks` for one text, in float32 NumPy.

A second, simple computation that a kernel is compared with where torch is not loaded. It is slow
and holds the interpreter's lock: use it for a few tokens.

Shape suffixes: T time, F features, P parts of a state, H hidden, E embedding, N orders, C labels,
K distinct features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.architecture import ClassifierArchitecture, LanguageModelArchitecture
from model.storage.weights import Weights
from service.kernel.api.interface import FloatArray
from service.kernel.api.row_state import first_state, state_parts
from service.kernel.documents.cells import numpy_layer
from service.kernel.native.output_parts import OutputArrays, output_arrays

IntArray = NDArray[np.int64]
PRIME, FACTOR = 2**31 - 1, 1_000_003  # of :func:`model.ngrams.ngram_buckets`
MIN_NORM = 1e-12


def log_probabilities_of(
    weights: Weights[LanguageModelArchitecture], read: list[int], predicted: list[int]
) -> FloatArray:
    """The log-probability (T,) of each predicted token after the token that was read there; the
    first is read from the learned initial state.
    """
    values_TF = _vectors(weights, "embedding.weight", np.array(read))
    state_PLH = first_state(weights).values_PLH
    for layer in range(weights.architecture.layers):
        values_TF, _ = numpy_layer(weights, layer).run(values_TF, state_PLH[:, layer])
    if weights.architecture.projection is not None:
        values_TF = values_TF @ weights["projection.weight"].T + weights["projection.bias"]
    output = output_arrays(weights)
    end = weights.architecture.vocabulary - 1
    pairs = zip(values_TF, predicted, strict=True)
    return np.array([_log_probability(output, x_F, token, end) for x_F, token in pairs])


def label_logits(weights: Weights[ClassifierArchitecture], tokens: list[int]) -> FloatArray:
    """The logits (C,) of a document of at least one token."""
    a = weights.architecture
    values_TF = words_TE = _token_vectors(weights, tokens)
    for layer in range(a.layers):
        values_TF = np.concatenate(
            [_direction(weights, layer, reverse, values_TF) for reverse in range(a.directions)],
            axis=1,
        )
    last_F = np.concatenate([values_TF[-1, : a.hidden], values_TF[0, a.hidden :]])
    pooled = [last_F if a.directions > 1 else values_TF[-1]]
    if a.pooling != "last":
        pooled += [values_TF.max(axis=0), values_TF.mean(axis=0)]
    if a.pools_words:
        pooled += [words_TE.max(axis=0), words_TE.mean(axis=0)]
    hidden = weights["mlp.weight"] @ np.concatenate(pooled) + weights["mlp.bias"]
    logits_C = weights["output.weight"] @ np.maximum(hidden, 0) + weights["output.bias"]
    if a.linear_ngrams > 0:
        logits_C = logits_C + _linear_logits(weights, tokens)
    return np.asarray(logits_C)


def _log_probability(output: OutputArrays, input_F: FloatArray, token: int, end: int) -> float:
    """Of one token, by the head and, for a rarer word, its tail."""
    head_J = _log_softmax(output.weight_JH @ input_F + output.bias_J)
    if not output.tails:
        return float(head_J[token])
    head_words = output.tails[0].begin
    if token < head_words:
        return float(head_J[token])
    if token == end:
        return float(head_J[head_words])
    index, tail = next(
        (index, tail) for index, tail in enumerate(output.tails) if tail.begin <= token < tail.end
    )
    narrow_D = input_F if tail.narrow_DH is None else tail.narrow_DH @ input_F
    tail_K = _log_softmax(np.asarray(tail.weight_KD @ narrow_D + tail.bias_K, dtype=np.float32))
    return float(head_J[head_words + 1 + index] + tail_K[token - tail.begin])


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def _direction(
    weights: Weights[ClassifierArchitecture], layer: int, reverse: int, values_TF: FloatArray
) -> FloatArray:
    """Outputs (T, H) of one layer in one direction, in the order of the text."""
    a = weights.architecture
    names = ("initial_hidden_L1H", "initial_cell_L1H")[: state_parts(a)]
    state_PH = np.stack([weights[name][layer * a.directions + reverse, 0] for name in names])
    order = slice(None, None, -1 if reverse else 1)
    return numpy_layer(weights, layer, reverse).run(values_TF[order], state_PH)[0][order]


def _token_vectors(weights: Weights[ClassifierArchitecture], tokens: list[int]) -> FloatArray:
    """Word vectors (T, E) plus those of the n-grams around each token."""
    a = weights.architecture
    vectors_TE = _vectors(weights, "embedding.weight", np.array(tokens))
    if a.ngrams > 1:
        for buckets_T in _ngram_buckets(tokens, a.ngrams, a.ngram_buckets):
            vectors_TE = vectors_TE + _vectors(weights, "ngram_embedding.weight", buckets_T)
    return vectors_TE


def _linear_logits(weights: Weights[ClassifierArchitecture], tokens: list[int]) -> FloatArray:
    """The logits (C,) of :class:`model.linear_ngrams.LinearNgrams`."""
    a = weights.architecture
    features_NT = [np.array(tokens)]
    if a.linear_ngrams > 1:
        buckets_NT = _ngram_buckets(tokens, a.linear_ngrams, a.linear_buckets)
        features_NT += [buckets_T + a.vocabulary for buckets_T in buckets_NT]
    feature_K, count_K = np.unique(np.concatenate(features_NT), return_counts=True)
    value_K = (1 + np.log(count_K)) * weights.arrays["linear.importance_F"][feature_K]
    value_K /= max(MIN_NORM, float(np.linalg.norm(value_K)))
    weight_KC = _vectors(weights, "linear.weight_FC", feature_K)
    return np.asarray(value_K @ weight_KC + weights["linear.bias_C"])


def _ngram_buckets(tokens: list[int], longest: int, buckets: int) -> list[IntArray]:
    """Bucket ids (T,) of the n-grams around each token, for each length from 2 to ``longest``."""
    steps = len(tokens)
    padded = np.pad(np.array(tokens, dtype=np.int64) + 1, longest)
    found = []
    for index, length in enumerate(range(2, longest + 1)):
        hash_T = np.full(steps, length, dtype=np.int64)
        for offset in range(-(length // 2), (length + 1) // 2):
            begin = longest + offset
            hash_T = (hash_T * FACTOR + padded[begin : begin + steps]) % PRIME
        found.append(hash_T % buckets + index * buckets)
    return found


def _vectors(
    weights: Weights[LanguageModelArchitecture] | Weights[ClassifierArchitecture],
    name: str,
    rows: IntArray,
) -> FloatArray:
    """Rows of a matrix in float32, without a copy of the others."""
    return weights.arrays[name][rows].astype(np.float32)
