"""Dropout of recurrent networks: probabilities, locked dropout and embedding dropout.

Locked (variational) dropout uses one mask for all time steps of a sequence (Gal and Ghahramani,
2016). Weight drop zeroes entries of the hidden-to-hidden matrices (Merity et al., 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True, kw_only=True)
class Regularization:
    """Dropout probabilities p, each 0 <= p < 1; 0 disables that dropout.

    Args:
        input: of features of the word vectors, locked over time.
        hidden: of features between recurrent layers, locked over time.
        output: of features of the last layer's hidden states, locked over time.
        weight: of entries of the hidden-to-hidden weights.
        embedding: of word types, which are zero throughout a batch.
        word: of tokens of a document (classifier).
        ngram: of n-grams of a document (classifier).
        mlp: of the MLP's hidden units (classifier).
    """

    input: float = 0.0
    hidden: float = 0.0
    output: float = 0.0
    weight: float = 0.0
    embedding: float = 0.0
    word: float = 0.0
    ngram: float = 0.0
    mlp: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{field.name} dropout: expected 0 <= p < 1, got {value}")


NO_REGULARIZATION = Regularization()


def locked_dropout(values_TBF: Tensor, probability: float, training: bool) -> Tensor:
    """Drops features with one mask for all time steps and scales the rest by 1 / (1 - p)."""
    if not training or probability == 0.0:
        return values_TBF
    keep = 1.0 - probability
    mask_1BF = torch.empty_like(values_TBF[:1]).bernoulli_(keep).div_(keep)
    return values_TBF * mask_1BF


def embed(embedding: nn.Embedding, tokens_TB: Tensor, probability: float, training: bool) -> Tensor:
    """Word vectors (T, B, E) of tokens (T, B), with word types dropped throughout the call."""
    if not training or probability == 0.0:
        return embedding(tokens_TB)  # type: ignore[no-any-return]
    keep = 1.0 - probability
    mask_V1 = embedding.weight.new_empty(embedding.num_embeddings, 1).bernoulli_(keep).div_(keep)
    return functional.embedding(tokens_TB, embedding.weight) * mask_V1[tokens_TB]
