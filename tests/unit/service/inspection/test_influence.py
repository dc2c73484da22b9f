"""Influence of earlier tokens, beside finite differences and the texts without each token."""

from __future__ import annotations

import pytest
import torch

from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector

TEXT = "The keys to the"


def logprob(inspector: LanguageModelInspector, ids: list[int], target: int) -> float:
    """Of the target after these tokens."""
    network = inspector.network
    tokens_T1 = torch.tensor([inspector.tokenizer.end, *ids]).unsqueeze(1)
    with torch.no_grad():
        logits_T1V, _ = network(tokens_T1, network.initial_state(1))
    return float(logits_T1V[-1, 0].log_softmax(dim=0)[target])


def test_erasure_is_what_the_text_without_the_token_gives(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """Erasure of any token equals reading the text without it."""
    pieces = inspector.pieces(TEXT, "text")
    target = inspector.first_token_after(TEXT, pieces, " dog")
    influence = inspector.influence(pieces, target, cancellation)
    ids = [piece.id for piece in pieces]
    whole = logprob(inspector, ids, target)
    assert influence.logprob == pytest.approx(whole, abs=1e-5)
    for index, erasure in enumerate(influence.erasure_T.tolist()):
        without = logprob(inspector, ids[:index] + ids[index + 1 :], target)
        assert erasure == pytest.approx(whole - without, abs=1e-4)


def test_gradients_agree_with_finite_differences(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """A small step of a token's vector along itself changes the log-probability as the contribution
    says.
    """
    pieces = inspector.pieces(TEXT, "text")
    target = inspector.first_token_after(TEXT, pieces, " dog")
    influence = inspector.influence(pieces, target, cancellation)
    weight_VE = inspector.network.embedding.weight
    unique = [i for i, piece in enumerate(pieces) if [p.id for p in pieces].count(piece.id) == 1]
    for index in unique:
        token, step = pieces[index].id, 1e-2
        with torch.no_grad():
            original_E = weight_VE[token].clone()
            around = []
            for scale in (1 + step, 1 - step):
                weight_VE[token] = original_E * scale
                around.append(logprob(inspector, [piece.id for piece in pieces], target))
            weight_VE[token] = original_E
        slope = (around[0] - around[1]) / (2 * step)
        assert float(influence.contribution_T[index]) == pytest.approx(slope, rel=0.05, abs=2e-3)


def test_factors_multiply_to_the_share_of_the_gradient(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """One positive factor for each token: what its step does to the gradient."""
    pieces = inspector.pieces(TEXT, "text")
    target = inspector.first_token_after(TEXT, pieces, " dog")
    influence = inspector.influence(pieces, target, cancellation)
    assert len(influence.factor_T) == len(pieces)
    assert bool((influence.factor_T > 0).all())
