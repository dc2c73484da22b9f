"""Bounds that only a model and its tokenizer can check. Errors name the field of the request."""

from __future__ import annotations

from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.errors import InvalidTask


def bounded_pieces(tokenizer: Tokenizer, text: str, most: int, param: str) -> list[Piece]:
    """The tokens of a text.

    Raises:
        InvalidTask: there are more than ``most``.
    """
    if tokenizer.at_least(text) <= most:
        pieces = tokenizer.pieces(text, most)
        if len(pieces) <= most:
            return pieces
    raise InvalidTask(param, f"at most {most} tokens are inspected at once; send a shorter text")


def check_index(index: int, size: int, param: str, what: str) -> None:
    """Checks the index of a layer or a unit.

    Raises:
        InvalidTask: it is not below ``size``.
    """
    if index >= size:
        raise InvalidTask(param, f"this model has {what} 0 to {size - 1}, not {index}")
