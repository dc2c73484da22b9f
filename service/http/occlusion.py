"""Texts with one token left out: what a token contributes is what its absence changes.

Occlusion (Zeiler and Fergus, 2014; for text "leave one out", Li et al., 2016). Knows tokenizers,
not classifiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from model.tokenization.tokenizer import Tokenizer


class Occlusions(NamedTuple):
    """The tokens of a text as written there, and for each of them the ids of all others."""

    tokens: list[str]
    variants: list[tuple[int, ...]]


def all_occlusions(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> list[Occlusions]:
    """Those of each text, up to the one with which there are more than ``most`` tokens in all."""
    found: list[Occlusions] = []
    for text in texts:
        found.append(_occlusions(tokenizer, text, most))
        most -= len(found[-1].tokens)
        if most < 0:
            break
    return found


def _occlusions(tokenizer: Tokenizer, text: str, most: int) -> Occlusions:
    """Leaves out each token in turn; with more than ``most`` tokens there are no variants.

    Tokens that stand for no characters of their own (all but the last piece of a character that
    bpe splits) go with the one that does, and are not listed.
    """
    pieces = tokenizer.pieces(text, most)
    ids = tuple(piece.id for piece in pieces)
    tokens, variants = [], []
    begin = 0
    for end, piece in enumerate(pieces, start=1):
        if not piece.text:
            continue
        tokens.append(piece.text)
        if len(ids) <= most:
            variants.append(ids[:begin] + ids[end:])
        begin = end
    return Occlusions(tokens, variants)
