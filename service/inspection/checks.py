"""Bounds that only a model and its tokenizer can check. Errors name the field of the request."""

from __future__ import annotations

from model.architecture import Cell
from model.tokenization.tokenizer import Piece, Tokenizer
from service.engine.api.errors import InvalidTask

HELD_SIGNALS: dict[Cell, tuple[str, ...]] = {
    "elman": ("hidden", "candidate"),
    "gru": ("hidden", "reset", "update", "candidate"),
    "lstm": ("hidden", "cell", "input", "forget", "output", "candidate"),
}
LEAST_VALUES = {"candidate": -1.0, "hidden": None, "cell": None}  # of a gate 0


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


def check_signal(signal: str, value: float, cell: Cell) -> None:
    """Checks what is held, and the value of a gate.

    Raises:
        InvalidTask: the cell has no such signal, or a gate never has this value.
    """
    if signal not in HELD_SIGNALS[cell]:
        known = ", ".join(HELD_SIGNALS[cell])
        raise InvalidTask("clamp", f"{cell} cells have the signals {known}, not {signal}")
    least = LEAST_VALUES.get(signal, 0.0)
    if least is not None and not least <= value <= 1:
        raise InvalidTask("clamp", f"{signal} is between {least:g} and 1, not {value:g}")
