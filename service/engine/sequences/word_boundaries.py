"""What counts as a word when the next word is asked for. Knows strings only.

A word is letters, digits, marks and underscores; an apostrophe or a hyphen belongs to it when
one of these follows ("don't", "well-known"). White space and all other characters are borders.
"""

from __future__ import annotations

import unicodedata
from enum import Enum
from typing import NamedTuple

CONNECTORS = "'’-"
INCOMPLETE_CHARACTER = (
    "\N{REPLACEMENT CHARACTER}"  # what bytes that are not yet a character are read as
)
LONGEST_PART = 64  # characters of an unfinished word that are looked at


class WordProgress(Enum):
    """How far a text has come with its first word."""

    BEFORE = "before"  # nothing but white space so far
    INSIDE = "inside"  # the word may go on
    OVER = "over"  # a border follows the word
    NOT_A_WORD = "not a word"  # begins with something else, such as a comma


class FirstWord(NamedTuple):
    """The first word of a text, as far as it is there."""

    reading: WordProgress
    word: str


def is_word_character(character: str) -> bool:
    """Whether a character can be in a word by itself."""
    return (
        character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
    )


def first_word(text: str) -> FirstWord:
    """Reads past leading white space, then to the end of the word or of the text."""
    text = text.lstrip()
    if not text:
        return FirstWord(WordProgress.BEFORE, "")
    if not is_word_character(text[0]):
        return FirstWord(WordProgress.NOT_A_WORD, "")
    end = 0  # of the word as far as it is certain
    for place, character in enumerate(text):
        if is_word_character(character):
            end = place + 1
        elif character not in CONNECTORS or end < place:
            return FirstWord(WordProgress.OVER, text[:end])
    return FirstWord(WordProgress.INSIDE, text[:end])


def unfinished_word(text: str) -> str:
    """The part of a word that the text ends in; "" where the next character starts a new one."""
    begin = len(text)
    lowest = max(0, len(text) - LONGEST_PART)
    while begin > lowest and (is_word_character(text[begin - 1]) or text[begin - 1] in CONNECTORS):
        begin -= 1
    part = text[begin:]
    while part and first_word(part).reading is not WordProgress.INSIDE:
        part = part[1:]
    return part


def last_run(part: str) -> str:
    """The end of an unfinished word after its last apostrophe or hyphen."""
    begin = len(part)
    while begin > 0 and is_word_character(part[begin - 1]):
        begin -= 1
    return part[begin:]
