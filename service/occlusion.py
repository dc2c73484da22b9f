"""Texts with one token left out: what a token contributes is what its absence changes.

Occlusion (Zeiler and Fergus, 2014; for text "leave one out", Li et al., 2016). Knows tokenizers,
not classifiers.
"""

from __future__ import annotations

from typing import NamedTuple

from model.tokenizer import Tokenizer


class Occlusions(NamedTuple):
    """The tokens of a text as written there, and for each of them the text without it."""

    tokens: list[str]
    variants: list[str]


def occlusions(tokenizer: Tokenizer, text: str) -> Occlusions:
    """Leaves out each token in turn.

    Where the tokenizer drops spaces, one takes the token's place, so that its neighbours do not
    become one word. Tokens that stand for no characters of their own (all but the last piece of a
    character that bpe splits) are not listed.
    """
    filler = "" if tokenizer.lossless else " "
    tokens, variants = [], []
    end = 0
    for piece in tokenizer.pieces(text):
        if not piece.text:
            continue
        start = text.index(piece.text, end)
        end = start + len(piece.text)
        tokens.append(piece.text)
        variants.append(text[:start] + filler + text[end:])
    return Occlusions(tokens, variants)
