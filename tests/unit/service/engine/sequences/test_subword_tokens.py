"""The effect of tokens on a word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import train_bpe_tokenizer
from service.engine.sequences.subword_tokens import Spelling
from service.engine.sequences.word_boundaries import (
    INCOMPLETE_CHARACTER,
    FirstWord,
    WordProgress,
    first_word,
)

STARTED = st.from_regex(r"\s{0,2}", fullmatch=True) | st.from_regex(
    r"\s?[a-zé]{1,4}(['-][a-zé]{1,3})?['-]?", fullmatch=True
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """All bytes, and pairs within and across words."""
    return train_bpe_tokenizer(["don't well-known é’s, the the. 'tis -- a-b " * 4], vocabulary=282)


def read(text: bytes) -> FirstWord:
    """The first word of a text, without the bytes of an incomplete character at its end."""
    return first_word(text.decode(errors="replace").rstrip(INCOMPLETE_CHARACTER))


@given(text=STARTED, cut=st.booleans())
def test_effects_agree_with_the_definition_of_a_word(
    tokenizer: Tokenizer, text: str, cut: bool
) -> None:
    """For each text that may become a word, and each token, also within a character: the token
    keeps the word open, ends it without adding to it, or closes it.
    """
    spelling = Spelling(tokenizer)
    before = text.encode()[: -1 if cut and text.endswith("é") else None]
    tokens = np.arange(tokenizer.size - 1)
    open_tokens, closing_tokens = spelling.open_and_closing(before, tokens)
    after = {int(token): read(before + tokenizer.bytes_of(int(token))) for token in tokens}
    is_open = {WordProgress.BEFORE, WordProgress.INSIDE}
    assert open_tokens.tolist() == [token for token in after if after[token].progress in is_open]
    over = [token for token in after if after[token].progress is WordProgress.OVER]
    decoded = before.decode(errors="replace")
    word = first_word(decoded)
    ending = (
        set(spelling.ending(decoded).tolist()) if word.progress is WordProgress.INSIDE else set()
    )
    assert sorted({*closing_tokens.tolist(), *(ending - {tokenizer.end})}) == over
    assert all(after[token].word == word.word for token in ending - {tokenizer.end})
