"""The definition of a word for next-word prediction, on strings.

A word consists of letters, digits, marks and underscores. An apostrophe or a hyphen belongs to it
if one of these follows ("don't", "well-known"). White space and all other characters are borders.
"""

from __future__ import annotations

import unicodedata
from enum import Enum
from typing import NamedTuple

from model.tokenization.tokenizer import TokenizerKind

CONNECTORS = "'’-"
INCOMPLETE_CHARACTER = "\N{REPLACEMENT CHARACTER}"  # stands for incomplete bytes of a character
LONGEST_PART = 64  # characters of an unfinished word that are considered


class WordProgress(Enum):
    """The position of the end of a text relative to its first word."""

    BEFORE = "before"  # only white space so far
    INSIDE = "inside"  # the word may continue
    OVER = "over"  # a border follows the word
    NOT_A_WORD = "not a word"  # begins with something else, such as a comma


class FirstWord(NamedTuple):
    """The first word of a text, as far as the text contains it."""

    progress: WordProgress
    word: str


class WordStart(NamedTuple):
    """The parts of a prompt: the context that is read unchanged, the known part of the next
    word, and the text that the tokens after ``context`` must spell.
    """

    context: str
    known: str
    required: str

    @property
    def typed(self) -> str:
        """The beginning of the next word that the prompt has; "" if it has none."""
        return (self.known + self.required).lstrip()


def is_word_character(character: str) -> bool:
    """Whether a character can be in a word by itself."""
    return (
        character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
    )


def first_word(text: str) -> FirstWord:
    """The first word after leading white space, up to its end or the end of the text."""
    text = text.lstrip()
    if not text:
        return FirstWord(WordProgress.BEFORE, "")
    if not is_word_character(text[0]):
        return FirstWord(WordProgress.NOT_A_WORD, "")
    end = 0  # of the part that certainly belongs to the word
    for index, character in enumerate(text):
        if is_word_character(character):
            end = index + 1
        elif character not in CONNECTORS or end < index:
            return FirstWord(WordProgress.OVER, text[:end])
    return FirstWord(WordProgress.INSIDE, text[:end])


def unfinished_word(text: str) -> str:
    """The part of a word at the end of the text; "" if the next character starts a new word."""
    begin = len(text)
    lowest = max(0, len(text) - LONGEST_PART)
    while begin > lowest and (is_word_character(text[begin - 1]) or text[begin - 1] in CONNECTORS):
        begin -= 1
    part = text[begin:]
    while part and first_word(part).progress is not WordProgress.INSIDE:
        part = part[1:]
    return part


def last_run(part: str) -> str:
    """The part of an unfinished word after its last apostrophe or hyphen."""
    begin = len(part)
    while begin > 0 and is_word_character(part[begin - 1]):
        begin -= 1
    return part[begin:]


def find_word_start(prompt: str, kind: TokenizerKind) -> WordStart:
    """The parts of a prompt for this kind of tokenizer. Word models complete no word here, since
    that depends on the vocabulary.
    """
    if kind == "char":
        return WordStart(prompt, unfinished_word(prompt), "")
    if prompt.endswith(" "):
        return WordStart(prompt[:-1], "", " ")
    if kind == "word":
        return WordStart(prompt, "", "")
    part = unfinished_word(prompt)
    run = last_run(part)
    context = prompt[: len(prompt) - len(run)]
    if run == part and run and context.endswith(" "):
        return WordStart(context[:-1], "", " " + run)
    return WordStart(context, part[: len(part) - len(run)], run)
