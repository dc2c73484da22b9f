"""Word vectors in the embedding of a network, before it is trained.

The task then tunes them, or they stay frozen. Knows neither files nor training.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.tokenization.tokenizer import Tokenizer

Vector = npt.NDArray[np.float32]
SPREAD = 0.1  # words without a vector are drawn uniformly from (-SPREAD, SPREAD)


def words_of(tokenizer: Tokenizer) -> set[str]:
    """The words a vector file is searched for: token texts without spaces, also in lower case."""
    words = {text.strip() for text in tokenizer.vocabulary()}
    return words | {word.lower() for word in words}


def embedding_matrix(
    tokenizer: Tokenizer,
    vectors: Mapping[str, Vector],
    width: int,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, int]:
    """An embedding (V, E) and how many tokens got a vector, in their case or in lower case.

    All others are drawn at random. ValueError when the vectors are not ``width`` wide.
    """
    matrix_VE = torch.empty(tokenizer.size, width).uniform_(-SPREAD, SPREAD, generator=generator)
    found = 0
    for token, text in enumerate(tokenizer.vocabulary()):
        word = text.strip()
        vector = vectors.get(word, vectors.get(word.lower()))
        if vector is None or not word:
            continue
        if vector.shape != (width,):
            raise ValueError(f"the vectors have {len(vector)} numbers, the embedding {width}")
        matrix_VE[token] = torch.from_numpy(vector)
        found += 1
    return matrix_VE, found
