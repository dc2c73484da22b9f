"""Excerpts: their positions, and documents that are too short."""

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
    """All positions with enough tokens left are drawn, and no others."""
    letters = train_char_tokenizer(["abcdefgh"], vocabulary=None, minimum_count=1)
    stream = build_stream(["abc", "defgh", "a"], letters)
    excerpts = ExcerptSource(stream, length=3, named="x", options="--lags").draw(
        200, np.random.default_rng(1)
    )
    texts = {letters.decode(tokens_T.tolist()) for tokens_T in excerpts.targets_TB.T}
    assert texts == {"abc", "def", "efg", "fgh"}
    assert (excerpts.inputs_TB[0] == letters.end).all()
    assert torch.equal(excerpts.inputs_TB[1:], excerpts.targets_TB[:-1])
    shorter = excerpts.last(2)
    assert torch.equal(shorter.targets_TB, excerpts.targets_TB[1:])
    assert (shorter.inputs_TB[0] == letters.end).all()
    assert torch.equal(shorter.inputs_TB[1], excerpts.inputs_TB[2])


def test_documents_that_are_too_short_are_refused() -> None:
    """The message has the longest document, the length needed and the option to lower."""
    stream = build_stream(["the cat", "the old dog"], WORDS)
    with pytest.raises(
        DataError, match=r"x: the longest document has 3 tokens, .* needs 4; .* lower --lags"
    ):
        ExcerptSource(stream, length=4, named="x", options="--lags")
