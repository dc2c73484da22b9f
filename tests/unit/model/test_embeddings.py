"""Initialization of an embedding from word vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.embeddings import embedding_matrix, words_of
from model.tokenization.tokenizer_training import train_word_tokenizer


def test_tokens_get_the_vectors_of_their_words() -> None:
    """A token gets the vector of its word without the space, in its case or in lower case."""
    tokenizer = train_word_tokenizer(["The keys, the door"], vocabulary=None)
    vectors = {"the": np.ones(2, np.float32), "keys": np.full(2, 2, np.float32)}
    assert {"The", "the", "keys", "door", ","} <= words_of(tokenizer)
    generator = torch.Generator().manual_seed(0)
    matrix_VE, pretrained_count = embedding_matrix(tokenizer, vectors, 2, generator)
    assert pretrained_count == 3
    assert matrix_VE[tokenizer.encode("The")[0]].tolist() == [1.0, 1.0]
    assert matrix_VE[tokenizer.encode(" keys")[0]].tolist() == [2.0, 2.0]
    assert matrix_VE[tokenizer.end].abs().max() <= 0.1
    with pytest.raises(ValueError, match="the embedding 3"):
        embedding_matrix(tokenizer, vectors, 3)
