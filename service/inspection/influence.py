"""Influence of each earlier token on one prediction: by gradient and by erasure.

Gradient times input (Denil et al., 2014) is a first-order estimate of what a token's vector
contributes. Erasure (Li et al., "Understanding Neural Networks through Representation Erasure",
2016) leaves the token out and reads the rest again; all the shortened texts are rows of one batch
that share the steps before their gap.

Shapes: T tokens that are read, B rows, E embedding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from model.inspection import word_gradients
from model.networks import LanguageModel
from model.recurrent import layer_weights
from model.state import State
from service.inspection.cancellation import Cancellation


class Influence(NamedTuple):
    """What each token that was read does to the log-probability of one token that may follow.

    ``gradient_T``: length of the gradient with respect to its vector; ``contribution_T``: gradient
    times vector; ``erasure_T``: the log-probability minus the one without this token. In nats.
    ``factor_T``: what the step that reads this token does to the norm of the gradient with respect
    to the state; see ``WordGradients``.
    """

    logprob: float
    gradient_T: Tensor
    contribution_T: Tensor
    erasure_T: Tensor
    factor_T: Tensor


def influence_of(
    network: LanguageModel,
    tokens_T: Tensor,
    target: int,
    state: State,
    cancellation: Cancellation,
) -> Influence:
    """Influence on the prediction of ``target`` after all of ``tokens_T``, read from ``state``.

    Raises:
        InspectionCancelled: see :class:`Cancellation`.
    """
    cancellation.check()
    logprob, gradient_TE, vectors_TE = _gradient(network, tokens_T, target, state)
    erased_T = _erased(network, tokens_T, target, state, cancellation)
    return Influence(
        logprob,
        gradient_TE.norm(dim=1),
        (gradient_TE * vectors_TE).sum(dim=1),
        logprob - erased_T,
        word_gradients(network, tokens_T, target, state).factors_T,
    )


def _gradient(
    network: LanguageModel, tokens_T: Tensor, target: int, state: State
) -> tuple[float, Tensor, Tensor]:
    with torch.enable_grad():
        vectors_TE = network.embedding(tokens_T).detach().requires_grad_(True)
        hidden_TBH = _encode_vectors(network, vectors_TE.unsqueeze(1), state)
        logprob = network.logits(hidden_TBH[-1]).log_softmax(dim=1)[0, target]
        (gradient_TE,) = torch.autograd.grad(logprob, vectors_TE)
    return float(logprob.detach()), gradient_TE, vectors_TE.detach()


def _encode_vectors(network: LanguageModel, values_TBF: Tensor, state: State) -> Tensor:
    """Hidden states of the last layer from vectors instead of tokens."""
    architecture = network.architecture
    for layer in range(architecture.layers):
        weights = layer_weights(network.recurrent, architecture.cell, layer)
        values_TBF = weights.run(values_TBF, state.layer(layer))[0]
    return values_TBF


@torch.no_grad()
def _erased(
    network: LanguageModel,
    tokens_T: Tensor,
    target: int,
    state: State,
    cancellation: Cancellation,
) -> Tensor:
    """Log-probabilities (T,) of the target when each token in turn is left out.

    Before step t, rows 0 to t - 1 have each left out one token. A new row begins with the state
    before token t, which the text as it is has reached, and does not read that token.
    """
    whole = state
    rows: State | None = None
    hidden_BH = torch.empty(0, network.architecture.hidden)
    for token in tokens_T:
        cancellation.check()
        before = whole
        whole = network.encode(token.view(1, 1), whole).state
        if rows is not None:
            encoded = network.encode(token.expand(1, rows.batch), rows)
            rows, hidden_BH = encoded.state, encoded.raw_TBH[0]
        rows = before if rows is None else _joined(rows, before)
        hidden_BH = torch.cat([hidden_BH, before.hidden_LBH[-1]])
    return network.logits(hidden_BH).log_softmax(dim=1)[:, target]


def _joined(rows: State, more: State) -> State:
    hidden_LBH = torch.cat([rows.hidden_LBH, more.hidden_LBH], dim=1)
    if rows.cell_LBH is None or more.cell_LBH is None:
        return State(hidden_LBH)
    return State(hidden_LBH, torch.cat([rows.cell_LBH, more.cell_LBH], dim=1))
