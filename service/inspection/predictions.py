"""A language model's predictions along a text: surprisal, entropy and likeliest successors.

Shapes: T predictions, V vocabulary, K likeliest tokens, P width of the output layer's input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from model.networks import LanguageModel
from service.inspection.cancellation import Cancellation

CHUNK_STEPS = 64


@dataclass(frozen=True, slots=True)
class TokenPredictions:
    """Distributions over the next token, one for each of T steps.

    ``entropy_T`` in bits. ``token_TK`` and ``probability_TK``: the K likeliest tokens, likeliest
    first. ``surprisal_T``: bits of the token that really followed, one fewer than there are steps.
    """

    entropy_T: Tensor
    token_TK: Tensor
    probability_TK: Tensor
    surprisal_T: Tensor


@torch.no_grad()
def predict(
    network: LanguageModel,
    hidden_TH: Tensor,
    followed_by_T: Tensor,
    top: int,
    cancellation: Cancellation,
) -> TokenPredictions:
    """TokenPredictions from the last layer's hidden states.

    Args:
        network: the language model that the hidden states are of.
        hidden_TH: one hidden state for each prediction, at least one.
        followed_by_T: the tokens that really followed the first T - 1 of them.
        top: how many of the likeliest tokens are wanted.
        cancellation: checked every ``CHUNK_STEPS`` predictions.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    entropies, tokens, probabilities, surprisals = [], [], [], []
    for begin in range(0, len(hidden_TH), CHUNK_STEPS):
        cancellation.check()
        chunk_TH = hidden_TH[begin : begin + CHUNK_STEPS]
        logprobs_TV = network.logits(chunk_TH).log_softmax(dim=1)
        probabilities_TV = logprobs_TV.exp()
        entropies.append(-(probabilities_TV * logprobs_TV).nan_to_num(0.0).sum(dim=1))
        likeliest = probabilities_TV.topk(min(top, probabilities_TV.shape[1]), dim=1)
        tokens.append(likeliest.indices)
        probabilities.append(likeliest.values)
        next_T = followed_by_T[begin : begin + CHUNK_STEPS]
        surprisals.append(-logprobs_TV[torch.arange(len(next_T)), next_T])
    bits = 1.0 / math.log(2.0)
    return TokenPredictions(
        torch.cat(entropies) * bits,
        torch.cat(tokens),
        torch.cat(probabilities),
        torch.cat(surprisals) * bits,
    )
