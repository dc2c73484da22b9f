"""Word vectors of a model: the nearest words of a word, and a map of two dimensions.

Shapes: V words, E embedding, N shown words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from model.errors import UnknownWordError
from model.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class WordNeighbors:
    """A word with its vector and its nearest words, the nearest first, with cosines."""

    word: str
    vector: list[float]
    neighbors: list[tuple[str, float]]

    @property
    def norm(self) -> float:
        """The length of the vector."""
        return float(torch.tensor(self.vector, dtype=torch.float64).norm())


@dataclass(frozen=True, slots=True, kw_only=True)
class WordMap:
    """Words of one set of vectors.

    Attributes:
        name: of the artifact, or "given", or "random".
        words: that were asked for.
        points: coordinates by word, of the words and of their neighbors: the first two principal
            components of their vectors, each vector scaled to length 1.
        explained: share of the variance that the two components have.
    """

    name: str
    words: list[WordNeighbors]
    points: dict[str, tuple[float, float]]
    explained: float

    def record(self) -> dict[str, Any]:
        """The fields as values for JSON."""
        return asdict(self)


def token_of(word: str, tokenizer: Tokenizer) -> int:
    """The token of a whole word, with its leading space where the vocabulary has that.

    Raises:
        UnknownWordError: the word is no token.
    """
    for text in (f" {word}", word):
        pieces = [piece for piece in tokenizer.pieces(text) if piece.text.strip()]
        if len(pieces) == 1 and pieces[0].id != tokenizer.unknown:
            return pieces[0].id
    raise UnknownWordError(word)


def map_words(
    name: str, vectors_VE: Tensor, tokenizer: Tokenizer, words: Sequence[str], count: int
) -> WordMap:
    """Looks up words and their ``count`` nearest words, and maps them.

    Args:
        name: of the vectors.
        vectors_VE: one row for each token.
        tokenizer: of the vectors.
        words: each is a token.
        count: number of neighbors of each word. Tokens without a letter or digit are no neighbors.

    Raises:
        UnknownWordError: a word is no token.
    """
    vectors_VE = vectors_VE.detach()
    lengths_V = vectors_VE.norm(dim=1).clamp(min=1e-12)  # no second table of vectors in memory
    texts = [text.strip() for text in tokenizer.vocabulary()]
    is_word_V = torch.zeros(len(vectors_VE), dtype=torch.bool)
    is_word_V[[any(map(str.isalnum, text)) for text in texts]] = True
    looked_up, shown = [], dict[str, int]()
    for word in words:
        token = token_of(word, tokenizer)
        products_V = vectors_VE @ (vectors_VE[token] / lengths_V[token])
        cosines_V = (products_V / lengths_V).masked_fill(~is_word_V, -2.0)
        nearest = _nearest(cosines_V, token, texts, count)
        neighbors = [(texts[other], float(cosines_V[other])) for other in nearest]
        vector = vectors_VE[token].tolist()
        looked_up.append(WordNeighbors(word=word, vector=vector, neighbors=neighbors))
        shown |= {word: token} | {texts[other]: other for other in nearest if texts[other] != word}
    units_NE = functional.normalize(vectors_VE[list(shown.values())].double(), dim=1)
    points_N2, explained = principal_components(units_NE)
    points = {word: (x, y) for word, (x, y) in zip(shown, points_N2.tolist(), strict=True)}
    return WordMap(name=name, words=looked_up, points=points, explained=explained)


def principal_components(vectors_NE: Tensor) -> tuple[Tensor, float]:
    """The first two principal components (N, 2), and the share of the variance that they have."""
    centered_NE = vectors_NE - vectors_NE.mean(dim=0)
    left_NK, singular_K, _ = torch.linalg.svd(centered_NE, full_matrices=False)
    points_NK = left_NK * singular_K
    if points_NK.shape[1] < 2:
        points_NK = functional.pad(points_NK, (0, 2 - points_NK.shape[1]))
    total = float(singular_K.square().sum())
    return points_NK[:, :2], float(singular_K[:2].square().sum()) / total if total > 0 else 1.0


def _nearest(cosines_V: Tensor, token: int, texts: Sequence[str], count: int) -> list[int]:
    """Tokens by falling cosine, one for all spellings with other capitals; none of ``token``."""
    seen, nearest = {texts[token].lower()}, list[int]()
    for other in cosines_V.argsort(descending=True).tolist():
        if len(nearest) == count or cosines_V[other] < -1.5:
            break
        if texts[other].lower() not in seen:
            seen.add(texts[other].lower())
            nearest.append(other)
    return nearest
