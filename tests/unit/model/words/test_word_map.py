"""Nearest words and the map of two dimensions."""

from __future__ import annotations

import pytest
import torch

from model.errors import UnknownWordError
from model.tokenization.tokenizer_training import train_char_tokenizer, train_word_tokenizer
from model.words.word_map import map_words, principal_components, token_of

TOKENIZER = train_word_tokenizer(
    ["The king and the queen see the laws of a land ."], vocabulary=None
)


def test_the_nearest_words_have_the_largest_cosines() -> None:
    """In falling order, without the word itself, other spellings of it and punctuation."""
    torch.manual_seed(1)
    vectors_VE = torch.randn(TOKENIZER.size, 5)
    king, queen, stop = (token_of(word, TOKENIZER) for word in ("king", "queen", "."))
    vectors_VE[queen] = 3 * vectors_VE[king] + 0.01
    vectors_VE[stop] = vectors_VE[king]
    found = map_words("m", vectors_VE, TOKENIZER, ["king"], 3)
    (word,) = found.words
    assert word.vector == pytest.approx(vectors_VE[king].tolist())
    assert word.norm == pytest.approx(float(vectors_VE[king].norm()))
    assert word.neighbors[0][0] == "queen"
    cosines = [cosine for _, cosine in word.neighbors]
    assert cosines == sorted(cosines, reverse=True)
    names = [name for name, _ in word.neighbors]
    assert not {"king", "."} & set(names)
    exact = torch.cosine_similarity(vectors_VE[king], vectors_VE[token_of(names[1], TOKENIZER)], 0)
    assert cosines[1] == pytest.approx(float(exact), abs=1e-6)
    assert set(found.points) == {"king", *names}
    assert 0 < found.explained <= 1


def test_a_plane_is_mapped_as_it_is() -> None:
    """Points of a plane keep their distances; all of the variance is shown."""
    torch.manual_seed(2)
    plane_N2 = torch.randn(6, 2, dtype=torch.float64)
    turned_NE = plane_N2 @ torch.linalg.qr(torch.randn(7, 2, dtype=torch.float64))[0].T
    points_N2, explained = principal_components(turned_NE)
    torch.testing.assert_close(torch.cdist(points_N2, points_N2), torch.cdist(plane_N2, plane_N2))
    assert explained == pytest.approx(1.0)
    single_12, _ = principal_components(torch.ones(1, 3))
    assert single_12.shape == (1, 2)


def test_words_outside_the_vocabulary_are_refused() -> None:
    """The message names the word; a character model has letters only."""
    with pytest.raises(UnknownWordError, match="'kings' is not a token of the model"):
        token_of("kings", TOKENIZER)
    with pytest.raises(UnknownWordError, match="is not a token"):
        token_of("the", train_char_tokenizer(["the end"]))
    assert TOKENIZER.text_of(token_of("king", TOKENIZER)) == " king"
    assert TOKENIZER.text_of(token_of("The", TOKENIZER)) == "The"
