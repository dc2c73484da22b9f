"""Batches of texts of similar length."""

from __future__ import annotations

from itertools import chain

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.service.small_artifacts import TEXT, word_tokenizer
from training.prediction.batches import (
    BATCH_ROWS,
    BATCH_TOKENS,
    EMPTY,
    encoded,
    padded_batches,
    row_batches,
)

LENGTHS = st.lists(st.integers(0, 3000), max_size=60)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 9))
def test_every_text_is_in_one_batch(lengths: list[int], rows: int) -> None:
    """Texts without a result are in one batch each, by length, and no batch is too large."""
    tokens = [[0] * length for length in lengths]
    results = [{"error": "x"} if index % 5 == 4 else {} for index in range(len(lengths))]
    wanted = [index for index in range(len(lengths)) if index % 5 != 4]
    batches = list(padded_batches(tokens, results))
    assert sorted(chain.from_iterable(batches)) == wanted
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= BATCH_TOKENS
        assert len(batch) <= BATCH_ROWS
    assert sorted(chain.from_iterable(row_batches(tokens, results, rows))) == wanted
    ordered = [lengths[index] for batch in batches for index in batch]
    assert ordered == sorted(ordered)


def test_texts_are_encoded_as_one_by_one() -> None:
    """Tokens are those of the tokenizer; blank texts and damaged ones have an error instead."""
    tokenizer = word_tokenizer()
    texts = ["the keys", " \n", TEXT * 200, "a dog"]
    results, tokens = encoded(tokenizer, texts)
    assert results == [{}, {"error": EMPTY}, {}, {}]
    assert tokens == [tokenizer.encode(text) if text.strip() else [] for text in texts]
    results, tokens = encoded(tokenizer, ["the keys", "\ud800"])
    assert tokens[0] == tokenizer.encode("the keys")
    assert "surrogate" in results[1]["error"]
