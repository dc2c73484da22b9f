"""Excerpts of a text: where they begin, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.tokenization.tokenizer_training import train_char_tokenizer
from tests.support.training.analyzed_network import WORDS
from training.analysis.excerpts import ExcerptSource
from training.data.token_stream import build_stream
from training.errors import DataError


def test_excerpts_lie_within_documents_and_open_with_end() -> None:
    """Every place that is long enough is drawn, no other."""
    letters = train_char_tokenizer(["abcdefgh"], vocabulary=None, minimum_count=1)
    stream = build_stream(["abc", "defgh", "a"], letters)
    found = ExcerptSource(stream, length=3, named="x", options="--lags").draw(
        200, np.random.default_rng(1)
    )
    texts = {letters.decode(tokens_T.tolist()) for tokens_T in found.targets_TB.T}
    assert texts == {"abc", "def", "efg", "fgh"}
    assert (found.inputs_TB[0] == letters.end).all()
    assert torch.equal(found.inputs_TB[1:], found.targets_TB[:-1])
    shorter = found.last(2)
    assert torch.equal(shorter.targets_TB, found.targets_TB[1:])
    assert (shorter.inputs_TB[0] == letters.end).all()
    assert torch.equal(shorter.inputs_TB[1], found.inputs_TB[2])


def test_documents_that_are_too_short_are_refused() -> None:
    """With what there is, what is needed and which option to lower."""
    stream = build_stream(["the cat", "the old dog"], WORDS)
    with pytest.raises(DataError, match=r"x: the longest document has 3 tokens, 4 .* lower --lags"):
        ExcerptSource(stream, length=4, named="x", options="--lags")
