"""Support for tests of the classifier command: a synthetic corpus of topics, and saved weights."""

import json
import random
from pathlib import Path

import torch

from model.artifact import load_artifact
from training.readers.examples import Example

TOPICS = {
    "sport": ["ball", "goal", "team", "match", "player", "score", "win"],
    "food": ["bread", "soup", "salt", "bake", "oven", "taste", "eat"],
    "weather": ["rain", "wind", "storm", "cloud", "sun", "snow", "cold"],
}
FILLER = ["the", "a", "of", "and", "in", "it", "was", "very", "that", "we", "so", "this", "one"]


def made_up(count: int, seed: int) -> list[Example]:
    """Documents of filler with two words of their topic, of very different lengths."""
    chance = random.Random(seed)
    examples = []
    for index in range(count):
        label = list(TOPICS)[index % 3]
        words = chance.choices(FILLER, k=chance.randint(1, 12)) + chance.sample(TOPICS[label], 2)
        chance.shuffle(words)
        examples.append(Example(" ".join(words).capitalize() + ".", label))
    return examples


def write(path: Path, examples: list[Example]) -> str:
    """Writes examples as JSON lines."""
    rows = [json.dumps({"text": e.text, "label": e.label}) for e in examples]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def corpus_options(tmp_path: Path) -> list[str]:
    """Options that name three splits of the made-up corpus, written here, and a small network."""
    splits = {"train": 240, "valid": 60, "test": 60}
    named = []
    for seed, (split, count) in enumerate(splits.items()):
        named += [f"--{split}", write(tmp_path / f"{split}.jsonl", made_up(count, seed))]
    return [*named, "--hidden", "12", "--embedding", "12", "--mlp", "12", "--batch", "8"]


def weights(artifact: Path) -> dict[str, torch.Tensor]:
    """The parameters of a saved network."""
    return dict(load_artifact(artifact).network.state_dict())


def same(one: Path, other: Path) -> bool:
    """Whether two artifacts have equal weights to the bit."""
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
