"""A document as a classifier reads it: probabilities along it, and what each token contributes.

Integrated gradients (Sundararajan, Taly and Yan, 2017) follow the straight line from vectors of
zeros to the token's own; their sum is the difference of the network's output between the two ends,
up to the error of the sum, which is reported as the completeness gap. The linear part of a
classifier is a sum over n-grams, and needs no path.

Shapes: T tokens, B rows, E embedding, C labels, A answers, K features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from model.calibration import Calibration, log_probabilities
from model.linear_ngrams import LinearNgrams
from model.networks import Classifier
from model.ngrams import ngram_buckets
from service.inspection.cancellation import Cancellation

PATH_STEPS = (64, 256)  # more of them while the completeness gap is too large
GAP = 0.01  # of the difference that is explained
ROWS = 32  # documents, or steps of a path, that are computed together


@dataclass(frozen=True, slots=True)
class Attribution:
    """Contributions to the logit of ``label`` minus that of ``other``, token by token.

    ``network_T`` by integrated gradients, ``linear_T`` exact; ``total`` is the difference of the
    two logits for the document, ``baseline`` the one that no token contributes to; ``steps`` of the
    path were summed.
    """

    label: int
    other: int
    steps: int
    total: float
    baseline: float
    network_T: Tensor
    linear_T: Tensor

    @property
    def gap(self) -> float:
        """What the contributions do not explain; it shrinks with more steps of the path."""
        explained = float(self.network_T.sum() + self.linear_T.sum())
        return self.total - self.baseline - explained


@torch.no_grad()
def prefix_probabilities(
    network: Classifier,
    tokens: Sequence[int],
    lengths: Sequence[int],
    calibration: Calibration,
    cancellation: Cancellation,
) -> NDArray[np.float64]:
    """Probabilities (len(lengths), A) of the answers when only so many tokens have been read.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    parts = []
    for begin in range(0, len(lengths), ROWS):
        cancellation.check()
        lengths_B = torch.tensor(lengths[begin : begin + ROWS])
        tokens_T1 = torch.tensor(tokens[: int(lengths_B.max())]).unsqueeze(1)
        logits_BC = network(tokens_T1.expand(-1, len(lengths_B)), lengths_B)
        parts.append(np.exp(log_probabilities(logits_BC.numpy(), calibration)))
    return np.concatenate(parts)


@torch.no_grad()
def probabilities(
    network: Classifier,
    texts: Sequence[Sequence[int]],
    calibration: Calibration,
    cancellation: Cancellation,
) -> NDArray[np.float64]:
    """Probabilities (len(texts), A) of the answers for texts of one token or more each.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    parts = []
    for begin in range(0, len(texts), ROWS):
        cancellation.check()
        rows = [torch.tensor(text) for text in texts[begin : begin + ROWS]]
        tokens_TB = pad_sequence(rows)
        logits_BC = network(tokens_TB, torch.tensor([len(row) for row in rows]))
        parts.append(np.exp(log_probabilities(logits_BC.numpy(), calibration)))
    return np.concatenate(parts)


def attribute(
    network: Classifier, tokens: Sequence[int], label: int, cancellation: Cancellation
) -> Attribution:
    """Contributions to a label, against the likeliest other one.

    Args:
        network: with two labels or more.
        tokens: the document, at least one token.
        label: index of the label.
        cancellation: checked between the parts of the path.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    tokens_T1 = torch.tensor(tokens).unsqueeze(1)
    length_1 = torch.tensor([len(tokens)])
    with torch.no_grad():
        logits_C = network(tokens_T1, length_1)[0]
        others_C = logits_C.clone()
        others_C[label] = -torch.inf
        other = int(others_C.argmax())
        vectors_TE = network.token_vectors(tokens_T1, length_1)[:, 0]
        zeros_T1E = torch.zeros_like(vectors_TE).unsqueeze(1)
        zero_C = _from_vectors(network, zeros_T1E, tokens_T1, length_1)[0]
    linear_T, linear_baseline = _linear(network, tokens_T1, length_1, label, other)
    total = float(logits_C[label] - logits_C[other])
    baseline = float(zero_C[label] - zero_C[other]) + linear_baseline
    for steps in PATH_STEPS:
        network_T = _path(network, vectors_TE, tokens_T1, label, other, steps, cancellation)
        attribution = Attribution(label, other, steps, total, baseline, network_T, linear_T)
        if abs(attribution.gap) <= GAP * abs(total - baseline):
            break
    return attribution


def _path(
    network: Classifier,
    vectors_TE: Tensor,
    tokens_T1: Tensor,
    label: int,
    other: int,
    steps: int,
    cancellation: Cancellation,
) -> Tensor:
    """Integrated gradients (T,), by the midpoint rule."""
    gradient_TE = torch.zeros_like(vectors_TE)
    for begin in range(0, steps, ROWS):
        cancellation.check()
        share_B = (torch.arange(begin, min(begin + ROWS, steps)) + 0.5) / steps
        rows = len(share_B)
        with torch.enable_grad():
            scaled_TBE = vectors_TE.unsqueeze(1) * share_B.view(1, -1, 1)
            scaled_TBE.requires_grad_(True)
            lengths_B = torch.full((rows,), len(vectors_TE))
            logits_BC = _from_vectors(network, scaled_TBE, tokens_T1.expand(-1, rows), lengths_B)
            margin = (logits_BC[:, label] - logits_BC[:, other]).sum()
            (gradient_TBE,) = torch.autograd.grad(margin, scaled_TBE)
        gradient_TE += gradient_TBE.sum(dim=1)
    return (gradient_TE * vectors_TE).sum(dim=1) / steps


def _from_vectors(
    network: Classifier, vectors_TBE: Tensor, tokens_TB: Tensor, lengths_B: Tensor
) -> Tensor:
    """Logits (B, C) without those of the linear part."""
    logits_BC = network.logits_of_vectors(vectors_TBE, tokens_TB, lengths_B)
    return logits_BC if network.linear is None else logits_BC - network.linear(tokens_TB, lengths_B)


@torch.no_grad()
def _linear(
    network: Classifier, tokens_T1: Tensor, length_1: Tensor, label: int, other: int
) -> tuple[Tensor, float]:
    """Contributions (T,) of the linear part, and its bias. An n-gram's is shared by its tokens."""
    contribution_T = torch.zeros(len(tokens_T1))
    linear = network.linear
    if linear is None:
        return contribution_T, 0.0
    features = linear.features(linear.counts(tokens_T1, length_1), 1)
    margin_F = linear.weight_FC[:, label] - linear.weight_FC[:, other]
    worth = dict(
        zip(
            features.feature_K.tolist(),
            (features.value_K * margin_F[features.feature_K]).tolist(),
            strict=True,
        )
    )
    places = _places_of_features(linear, tokens_T1, length_1)
    for feature, runs in places.items():
        share = worth[feature] / len(runs)
        for run in runs:
            contribution_T[run] += share / len(run)
    return contribution_T, float(linear.bias_C[label] - linear.bias_C[other])


def _places_of_features(
    linear: LinearNgrams, tokens_T1: Tensor, length_1: Tensor
) -> dict[int, list[list[int]]]:
    """Of each feature, the runs of token positions that make it up."""
    steps = len(tokens_T1)
    places: dict[int, list[list[int]]] = {}
    for position, token in enumerate(tokens_T1[:, 0].tolist()):
        places.setdefault(token, []).append([position])
    if linear.longest == 1:
        return places
    buckets_NT1 = ngram_buckets(tokens_T1, length_1, linear.longest, linear.buckets)
    runs_NT = buckets_NT1[:, :, 0] + linear.vocabulary
    for length, features_T in enumerate(runs_NT.tolist(), start=2):
        for position, feature in enumerate(features_T):
            begin = position - length // 2
            run = [place for place in range(begin, begin + length) if 0 <= place < steps]
            places.setdefault(feature, []).append(run)
    return places
