"""Small synthetic files that the commands of the documentation read."""

from __future__ import annotations

import random
from pathlib import Path

NOUNS = ("law", "laws", "country", "countries", "king", "kings")
LABELED = {"positive": "a {} film", "negative": "a dull {} story", "neutral": "the {} is a film"}


def write_small_inputs(directory: Path) -> None:
    """Text, labeled documents with an out-of-scope label, and minimal pairs."""
    chance = random.Random(0)
    sentences = [f"the {noun} of the country {_verb(noun)} good ." for noun in NOUNS]
    for name in ("mytext.txt", "other.txt"):
        text = "\n".join(chance.choice(sentences) for _ in range(300))
        (directory / name).write_text(text + "\n", encoding="utf-8")
    for name in ("train.csv", "valid.csv", "test.csv"):
        rows = [
            f"{label},{text.format(chance.choice(NOUNS))} {number}"
            for number in range(30)
            for label, text in {**LABELED, "none": "of the {}"}.items()
        ]
        text = "\n".join(["label,text", *rows, ""])
        (directory / name).write_text(text, encoding="utf-8")
    pairs = [
        f"simple\tany\tthe {noun} {_verb(noun)} good\tthe {noun} {_verb(noun, wrong=True)} good\n"
        for noun in NOUNS
    ]
    (directory / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")


def _verb(noun: str, wrong: bool = False) -> str:
    plural = noun.endswith("s")
    return "are" if plural != wrong else "is"
