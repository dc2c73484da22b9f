"""Surprisal, entropy and likeliest successors, from the definition."""

from __future__ import annotations

import torch

from service.inspection.cancellation import Cancellation
from service.inspection.language_model import LanguageModelInspector

TEXT = "The keys to the cabinet are on the table, and don't you forget it: the dogs' bowl.\n"


def test_predictions_are_those_of_the_network(
    inspector: LanguageModelInspector, cancellation: Cancellation
) -> None:
    """Each token's surprisal is -log2 p under the whole network; entropy and top likewise."""
    reading = inspector.read(TEXT, inspector.first(), cancellation, top=3)
    network, tokenizer = inspector.network, inspector.tokenizer
    ids_T = torch.tensor([tokenizer.end, *tokenizer.encode(TEXT)])
    with torch.no_grad():
        logits_T1V, _ = network(ids_T.unsqueeze(1), network.initial_state(1))
    p_TV = logits_T1V[:, 0].double().softmax(dim=1)
    predictions = reading.predictions
    assert len(reading.pieces) == len(predictions.surprisal_T) == len(predictions.entropy_T) - 1
    rows_T = torch.arange(len(reading.pieces))
    surprisal_T = -p_TV[rows_T, ids_T[1:]].log2()
    torch.testing.assert_close(predictions.surprisal_T.double(), surprisal_T, rtol=1e-4, atol=1e-4)
    entropy_T = -(p_TV * p_TV.log2()).sum(dim=1)
    torch.testing.assert_close(predictions.entropy_T.double(), entropy_T, rtol=1e-4, atol=1e-4)
    likeliest = p_TV.topk(3, dim=1)
    assert torch.equal(predictions.token_TK, likeliest.indices)
    torch.testing.assert_close(
        predictions.probability_TK.double(), likeliest.values, rtol=1e-4, atol=1e-6
    )
