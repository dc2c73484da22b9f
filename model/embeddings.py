"""Initialization of an embedding from pretrained word vectors (word2vec, GloVe)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.tokenization.tokenizer import Tokenizer

Vector = npt.NDArray[np.float32]
INIT_RANGE = 0.1  # tokens without a vector are drawn uniformly from (-INIT_RANGE, INIT_RANGE)


def words_of(tokenizer: Tokenizer) -> set[str]:
    """Words to look up in a vector file: token texts without spaces, and their lower case."""
    words = {text.strip() for text in tokenizer.vocabulary()}
    return words | {word.lower() for word in words}


def embedding_matrix(
    tokenizer: Tokenizer,
    vectors: Mapping[str, Vector],
    width: int,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, int]:
    """Builds the initial embedding.

    Args:
        tokenizer: determines the rows.
        vectors: vectors by word. A token takes that of its own spelling, else of its lower-cased
            spelling.
        width: of the embedding.
        generator: of the random vectors of all other tokens.

    Returns:
        The embedding (V, E), and the number of tokens with a pretrained vector.

    Raises:
        ValueError: a vector is not ``width`` wide.
    """
    matrix_VE = torch.empty(tokenizer.size, width).uniform_(
        -INIT_RANGE, INIT_RANGE, generator=generator
    )
    pretrained_count = 0
    for token, text in enumerate(tokenizer.vocabulary()):
        word = text.strip()
        vector = vectors.get(word, vectors.get(word.lower()))
        if vector is None or not word:
            continue
        if vector.shape != (width,):
            raise ValueError(f"the vectors have width {len(vector)}, the embedding {width}")
        matrix_VE[token] = torch.from_numpy(vector)
        pretrained_count += 1
    return matrix_VE, pretrained_count
