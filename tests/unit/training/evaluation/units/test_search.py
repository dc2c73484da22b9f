"""Units that follow a marking, found on one text and scored on another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.architecture import LanguageModelArchitecture
from model.networks import LanguageModel
from model.tokenization.tokenizer_training import train_char_tokenizer
from training.errors import DataError
from training.evaluation.units.plate import unit_plate
from training.evaluation.units.search import search_units

TEXTS = ("ab AB cd. " * 40, "Ba dC. ab " * 40)
TOKENIZER = train_char_tokenizer(TEXTS)


@torch.no_grad()
def marking_network() -> LanguageModel:
    """Unit 2 is high after capital letters and low after others; the other units do not move."""
    torch.manual_seed(1)
    architecture = LanguageModelArchitecture(
        cell="elman", vocabulary=TOKENIZER.size, embedding=1, hidden=4, layers=1
    )
    network = LanguageModel(architecture)
    for parameter in network.parameters():
        parameter.zero_()
    capitals = [text.isupper() for text in TOKENIZER.vocabulary()]
    network.embedding.weight[: len(capitals), 0] = torch.tensor(capitals).float() - 0.5
    weight = network.recurrent.weight_ih_l0
    assert isinstance(weight, torch.Tensor)
    weight[2, 0] = 3.0
    return network


def test_the_unit_that_follows_capitals_is_found() -> None:
    """With r of 1 on both halves; the others follow nothing; constant markings are missing."""
    search = search_units(marking_network(), TOKENIZER, TEXTS, threshold=0.9)
    best = search.best[0]
    assert (best.marking, best.layer, best.unit, best.signal) == ("capitals", 0, 2, "hidden")
    assert (best.searched, best.held_out) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert best.separation == 1.0
    assert (search.units, search.following) == (4, 1)
    assert {"quotes", "brackets", "digits"} <= set(search.missing)


def test_short_texts_are_refused() -> None:
    """The message has the numbers of tokens."""
    with pytest.raises(DataError, match="a half of the text has 5 tokens; give at least 128"):
        search_units(marking_network(), TOKENIZER, ("ab AB", TEXTS[1]), threshold=0.5)


def test_a_plate_has_the_activations_and_five_successors() -> None:
    """Of the tokens after the skipped ones, with probabilities in falling order."""
    plate = unit_plate(
        marking_network(), TOKENIZER, "ab AB", layer=0, unit=2, signal="hidden", skip=2
    )
    assert [token.text for token in plate] == [" ", "A", "B"]
    assert np.sign([token.activation for token in plate]).tolist() == [-1, 1, 1]
    for token in plate:
        probabilities = [probability for _, probability in token.successors]
        assert len(probabilities) == 5
        assert probabilities == sorted(probabilities, reverse=True)
