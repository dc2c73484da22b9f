"""Gradients at the words of a sentence, beside finite differences of the loss."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from model.architecture import CELLS, Cell, LanguageModelArchitecture
from model.networks import LanguageModel
from model.tokenization.tokenizer_training import train_char_tokenizer, train_word_tokenizer
from training.errors import RecipeError
from training.evaluation.sentence_scores import SentenceForm
from training.evaluation.word_gradients import trace_gradients

TEXT = ". The keys to the cabinet by a door are old."
FORM = SentenceForm(before=".", capitalize=True, full_stop=False)


def network(vocabulary: int, cell: Cell) -> LanguageModel:
    """Two layers with random weights."""
    torch.manual_seed(5)
    architecture = LanguageModelArchitecture(
        cell=cell, vocabulary=vocabulary, embedding=4, hidden=5, layers=2
    )
    model = LanguageModel(architecture)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model


@pytest.mark.parametrize("cell", CELLS)
@torch.no_grad()
def test_gradients_agree_with_finite_differences(cell: Cell) -> None:
    """The loss of "are" changes with the vector of "keys", which occurs once, as the bar says."""
    tokenizer = train_word_tokenizer([TEXT], vocabulary=None)
    model = network(tokenizer.size, cell)
    found = trace_gradients("m", model, tokenizer, "the keys to the cabinet", "are", FORM)
    assert found.tokens == ["[END]", ".", " The", " keys", " to", " the", " cabinet"]
    assert (found.target, found.cell) == (" are", cell)
    model = model.double()
    text = tokenizer.encode(". The keys to the cabinet are")
    keys, nudge, squares = tokenizer.encode(". The keys")[-1], 1e-5, 0.0
    vector_E = model.embedding.weight[keys]

    def loss() -> float:
        ids_T1 = torch.tensor([tokenizer.end, *text[:-1]]).unsqueeze(1)
        logits_T1V, _ = model(ids_T1, model.initial_state(1))
        return -float(logits_T1V[-1, 0].log_softmax(dim=0)[text[-1]])

    assert found.loss == pytest.approx(loss())
    for entry in range(4):
        original = float(vector_E[entry])
        vector_E[entry] = original + nudge
        above = loss()
        vector_E[entry] = original - nudge
        squares += ((above - loss()) / (2 * nudge)) ** 2
        vector_E[entry] = original
    assert found.gradients[3] == pytest.approx(math.sqrt(squares), rel=1e-5)


def test_products_are_those_of_the_factors_of_later_words() -> None:
    """The last word has the product 1."""
    tokenizer = train_word_tokenizer([TEXT], vocabulary=None)
    model = network(tokenizer.size, "gru")
    found = trace_gradients("m", model, tokenizer, "the keys to the zebra", "are", FORM)
    assert found.tokens[-1] == " zebra (unknown)"
    assert found.products[-1] == 1.0
    for place, (product, later) in enumerate(pairwise(found.products)):
        assert product == pytest.approx(later * found.factors[place + 1])


def test_a_character_model_predicts_the_first_letter() -> None:
    """The space before the word is read."""
    tokenizer = train_char_tokenizer([TEXT])
    model = network(tokenizer.size, "lstm")
    found = trace_gradients("m", model, tokenizer, "the keys", "are", FORM)
    assert found.target == "a"
    assert "".join(found.tokens[1:]) == ". The keys "


def test_an_unknown_word_is_refused() -> None:
    """The message names the word and the model."""
    tokenizer = train_word_tokenizer([TEXT], vocabulary=None)
    model = network(tokenizer.size, "elman")
    with pytest.raises(RecipeError, match="--words: 'were' is unknown to m"):
        trace_gradients("m", model, tokenizer, "the keys", "were", FORM)
