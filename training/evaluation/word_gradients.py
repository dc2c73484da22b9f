"""The gradient of the loss of one word with respect to each word before it, along a sentence.

By the lecture's example: the loss of "are" after "the keys to the cabinet", and what reaches the
vector of "keys". See ``model.inspection.word_gradients``.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from model.inspection import word_gradients
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer
from training.errors import RecipeError
from training.evaluation.sentence_scores import SentenceForm


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedGradients:
    """Lists are by token, in the order of the text; the first token is [END].

    Attributes:
        artifact: its name.
        cell: "elman", "gru" or "lstm".
        target: the token whose loss is taken, as the model cuts the word.
        loss: in nats.
        tokens: that were read before the target.
        gradients: norms of the gradient with respect to the vector of each token.
        factors: what the step that reads the token does to the norm of the gradient with respect to
            the recurrent state.
        products: the share of the gradient that reaches the state after the token: the product of
            the factors of all later tokens; 1 for the last token.
    """

    artifact: str
    cell: str
    target: str
    loss: float
    tokens: list[str]
    gradients: list[float]
    factors: list[float]
    products: list[float]

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return asdict(self)


def trace_gradients(
    artifact: str,
    network: LanguageModel,
    tokenizer: Tokenizer,
    sentence: str,
    word: str,
    form: SentenceForm,
) -> TracedGradients:
    """The gradient of the loss of ``word`` after ``sentence``, computed in float64.

    Args:
        artifact: the name of the model.
        network: is not changed.
        tokenizer: of the network.
        sentence: is read after the form's context, without a full stop.
        word: its first token that is no space is predicted.
        form: in which the sentence is read.

    Raises:
        RecipeError: the word is not in the vocabulary.
    """
    text = form.in_context(sentence)
    read = len(tokenizer.encode(text))
    pieces = tokenizer.pieces(f"{text} {word}")
    while not pieces[read].text.strip():  # a character model reads the space before the word
        read += 1
    pieces, target = pieces[:read], pieces[read].id
    if target == tokenizer.unknown:
        raise RecipeError(
            f"--words: {word!r} is unknown to {artifact}; give words of its vocabulary"
        )
    tokens_T = torch.tensor([tokenizer.end, *(piece.id for piece in pieces)])
    network = copy.deepcopy(network).double()
    found = word_gradients(network, tokens_T, target, network.initial_state(1))
    factors = found.factors_T.tolist()
    return TracedGradients(
        artifact=artifact,
        cell=network.architecture.cell,
        target=tokenizer.text_of(target),
        loss=found.loss,
        tokens=["[END]", *(_shown(piece.text, piece.id, tokenizer) for piece in pieces)],
        gradients=found.vectors_T.tolist(),
        factors=factors,
        products=_products_from_the_end(factors),
    )


def _shown(text: str, token: int, tokenizer: Tokenizer) -> str:
    return f"{text} (unknown)" if token == tokenizer.unknown else text


def _products_from_the_end(factors: Sequence[float]) -> list[float]:
    """For each index the product of all factors after it."""
    later = itertools.accumulate(reversed(factors[1:]), lambda a, b: a * b, initial=1.0)
    return list(later)[::-1]
