"""Trains a character model on a text file, loads the artifact and generates text with torch.

``python examples/train.py TEXT DIRECTORY [OPTIONS of python -m training lm]``
"""

# ruff: noqa: T201

import sys
from pathlib import Path

import torch

from model.artifact import Artifact, load_artifact
from model.networks import LanguageModel
from training.commands.cli import main as train


def generate(artifact: Artifact, length: int) -> str:
    """Samples a text of at most ``length`` characters, one step of the network for each."""
    network, tokenizer = artifact.network, artifact.tokenizer
    assert isinstance(network, LanguageModel)  # not a classifier
    state, token, text = network.initial_state(1), tokenizer.end, ""
    for _ in range(length):
        logits_TBV, state = network(torch.tensor([[token]]), state)
        logits_TBV[..., tokenizer.unknown] = -torch.inf
        token = int(torch.distributions.Categorical(logits=logits_TBV[0, 0]).sample())
        if token == tokenizer.end:
            break
        text += tokenizer.text_of(token)
    return text


if __name__ == "__main__":
    source, directory, *options = sys.argv[1:]
    budget = options or ["--minutes", "1"]
    if train(["lm", "--train", source, "--tokenizer", "char", "--out", directory, *budget]) != 0:
        sys.exit("the training failed")
    print(generate(load_artifact(Path(directory)), length=200))
