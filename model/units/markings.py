"""Markings of a text: one number for each character, such as 1 inside quotes and 0 outside.

A unit search compares activations with a marking. Every marking here is a function of the text
alone; the position markings count from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from model.tokenization.tokenizer import Piece

Marking = NDArray[np.float64]

_OPENING = {"(": ")", "[": "]", "{": "}"}


def inside_quotes(text: str) -> Marking:
    """1 from an opening double quote up to its closing one; straight quotes alternate."""
    marks = np.zeros(len(text))
    inside = False
    for index, character in enumerate(text):
        if character == "\N{LEFT DOUBLE QUOTATION MARK}":
            inside = True
        elif character == "\N{RIGHT DOUBLE QUOTATION MARK}":
            inside = False
        elif character == '"':
            inside = not inside
        marks[index] = inside
    return marks


def inside_brackets(text: str) -> Marking:
    """The number of brackets that are open; a closing one that nothing opened is ignored."""
    marks = np.zeros(len(text))
    awaited: list[str] = []
    for index, character in enumerate(text):
        if character in _OPENING:
            awaited.append(_OPENING[character])
        elif awaited and character == awaited[-1]:
            awaited.pop()
        marks[index] = len(awaited)
    return marks


def capital_letters(text: str) -> Marking:
    """1 at capital letters."""
    return np.array([character.isupper() for character in text], dtype=np.float64)


def digits(text: str) -> Marking:
    """1 at digits."""
    return np.array([character.isdigit() for character in text], dtype=np.float64)


def white_space(text: str) -> Marking:
    """1 at spaces, tabs and line ends."""
    return np.array([character.isspace() for character in text], dtype=np.float64)


def position_in_line(text: str) -> Marking:
    """Characters since the last line end."""
    return _since(text, lambda character: character == "\n")


def position_in_word(text: str) -> Marking:
    """Characters since the last one that is neither a letter nor a digit."""
    return _since(text, lambda character: not character.isalnum())


def position_in_sentence(text: str) -> Marking:
    """Characters since the last full stop, exclamation mark or question mark."""
    return _since(text, lambda character: character in ".!?")


def speaker_name(text: str) -> Marking:
    """1 within a line of letters and spaces that ends in a colon, as plays name a speaker."""
    marks = np.zeros(len(text))
    begin = 0
    for line in text.splitlines(keepends=True):
        name = line.rstrip("\r\n")
        if name.endswith(":") and name[:-1].replace(" ", "").isalpha():
            marks[begin : begin + len(name)] = 1.0
        begin += len(line)
    return marks


def _since(text: str, is_border: Callable[[str], bool]) -> Marking:
    marks = np.zeros(len(text))
    count = 0
    for index, character in enumerate(text):
        marks[index] = count
        count = 0 if is_border(character) else count + 1
    return marks


def marking_of_tokens(pieces: Sequence[Piece], marking: Marking) -> Marking:
    """The marking of each token: that of its last character.

    A token without characters of its own (part of one that several tokens spell) has that of the
    character before it.
    """
    ends = np.cumsum([len(piece.text) for piece in pieces])
    return np.asarray(marking[np.maximum(ends - 1, 0)])


MARKINGS: dict[str, Callable[[str], Marking]] = {
    "quotes": inside_quotes,
    "brackets": inside_brackets,
    "capitals": capital_letters,
    "digits": digits,
    "spaces": white_space,
    "line_position": position_in_line,
    "word_position": position_in_word,
    "sentence_position": position_in_sentence,
    "speaker": speaker_name,
}
