"""The built-in text of `python -m training gradients`: small words, and one thing to remember.

    anna says the old dog sees the king and the cat likes anna , says anna .

Who speaks is named at the beginning and at the end of a speech and sometimes in between; nothing
else tells who it is. So a network has to carry one of a few names over 4 to 40 words, mostly over
few; all else can be told from the last words. Knows no tokenizer.
"""

from __future__ import annotations

import random

NAMES = ["anna", "bela", "carl", "dora", "emil", "fritz"]
NOUNS = ["dog", "cat", "bird", "king", "child"]
VERBS = ["sees", "likes", "feeds", "finds"]
ADJECTIVES = ["old", "grey", "happy"]
ADORNED = 0.3  # the chance of a noun to have an adjective
SPEAKER = 0.3  # the chance of a clause to end in the speaker's name
GOES_ON = 0.8  # the chance of a speech to have another clause


def demonstration_text(words: int, seed: int) -> str:
    """Speeches one after the other, at least so many words, parted by spaces."""
    chance = random.Random(seed)
    speeches, written = list[str](), 0
    while written < words:
        speeches.append(_speech(chance))
        written += speeches[-1].count(" ") + 1
    return " ".join(speeches)


def _speech(chance: random.Random) -> str:
    name = chance.choice(NAMES)
    clauses = [_clause(name, chance)]
    while chance.random() < GOES_ON:
        clauses.append(_clause(name, chance))
    return f"{name} says {' and '.join(clauses)} , says {name} ."


def _clause(name: str, chance: random.Random) -> str:
    seen = name if chance.random() < SPEAKER else _thing(chance)
    return f"{_thing(chance)} {chance.choice(VERBS)} {seen}"


def _thing(chance: random.Random) -> str:
    noun = chance.choice(NOUNS)
    return f"the {chance.choice(ADJECTIVES)} {noun}" if chance.random() < ADORNED else f"the {noun}"
