"""Sentences of a tiny grammar, which a small network learns quickly."""

import random

NOUNS = ["dog", "cat", "bird", "child", "farmer", "king"]
VERBS = ["sees", "likes", "feeds", "finds", "follows"]
ADJECTIVES = ["old", "small", "happy", "grey"]


def sentence(chance: random.Random) -> str:
    """A random sentence, one of a few thousand."""
    return (
        f"The {chance.choice(ADJECTIVES)} {chance.choice(NOUNS)} {chance.choice(VERBS)} "
        f"the {chance.choice(NOUNS)}."
    )


def text(sentences: int, seed: int = 0) -> str:
    """Lines of random sentences."""
    chance = random.Random(seed)
    return "".join(sentence(chance) + "\n" for _ in range(sentences))
