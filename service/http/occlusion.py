"""Token contributions by occlusion: texts with one token left out.

Sources: Zeiler and Fergus, 2014; for text, "leave one out", Li et al., 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from model.tokenization.tokenizer import Tokenizer


class Occlusions(NamedTuple):
    """The tokens of a text, and for each token the ids of all others."""

    tokens: list[str]
    variants: list[tuple[int, ...]]


def all_occlusions(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> list[Occlusions]:
    """The occlusions of each text, ending with the text that exceeds ``most`` tokens in all."""
    occlusions: list[Occlusions] = []
    for text in texts:
        occlusions.append(_occlusions(tokenizer, text, most))
        most -= len(occlusions[-1].tokens)
        if most < 0:
            break
    return occlusions


def _occlusions(tokenizer: Tokenizer, text: str, most: int) -> Occlusions:
    """The text without each token in turn; no variants if it has more than ``most`` tokens.

    Tokens without a character of their own (all but the last piece of a character that bpe splits)
    are left out together with the token that completes the character, and are not listed.
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
