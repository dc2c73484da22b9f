"""Text for the tests of training: a tiny grammar whose sentences a small network learns quickly."""

import random

NOUNS = ["dog", "cat", "bird", "child", "farmer", "king"]
VERBS = ["sees", "likes", "feeds", "finds", "follows"]
ADJECTIVES = ["old", "small", "happy", "grey"]


def sentence(chance: random.Random) -> str:
    """One of a few thousand sentences."""
    return (
        f"The {chance.choice(ADJECTIVES)} {chance.choice(NOUNS)} {chance.choice(VERBS)} "
        f"the {chance.choice(NOUNS)}."
    )


def text(sentences: int, seed: int = 0) -> str:
    """Lines of sentences."""
    chance = random.Random(seed)
    return "".join(sentence(chance) + "\n" for _ in range(sentences))
