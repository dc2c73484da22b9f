"""One unit along a text, with the likeliest successors of each token: the data of a plate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from model.inspection import inspect
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer

SUCCESSORS = 5


@dataclass(frozen=True, slots=True)
class PlateToken:
    """A token, the unit's activation after it, and its likeliest successors, the likeliest first.

    ``activation`` of a hidden state lies between -1 and 1; that of a cell state is its tanh.
    """

    text: str
    activation: float
    successors: list[tuple[str, float]]


@torch.no_grad()
def unit_plate(
    network: LanguageModel,
    tokenizer: Tokenizer,
    text: str,
    *,
    layer: int,
    unit: int,
    signal: Literal["hidden", "cell"],
    skip: int = 0,
) -> list[PlateToken]:
    """Reads a text from its beginning; the first ``skip`` tokens are read and not returned."""
    pieces = tokenizer.pieces(text)
    tokens_T1 = torch.tensor([tokenizer.end, *(piece.id for piece in pieces)]).unsqueeze(1)
    layers = inspect(network, tokens_T1, network.initial_state(1))
    plate = []
    for place, piece in list(enumerate(pieces, start=1))[skip:]:
        step = layers[layer][place]
        value_BH = step.hidden_BH
        if signal == "cell" and step.cell_BH is not None:
            value_BH = torch.tanh(step.cell_BH)
        logits_V = network.logits(layers[-1][place].hidden_BH)[0].clone()
        probabilities_V = logits_V.softmax(dim=0)
        probabilities_V[sorted(tokenizer.suppressed)] = 0.0
        top = probabilities_V.topk(min(SUCCESSORS, len(probabilities_V)))
        successors = [
            (tokenizer.text_of(token) if token != tokenizer.end else "[END]", probability)
            for probability, token in zip(top.values.tolist(), top.indices.tolist(), strict=True)
        ]
        plate.append(PlateToken(piece.text, float(value_BH[0, unit]), successors))
    return plate
