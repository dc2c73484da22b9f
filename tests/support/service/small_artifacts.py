"""Tiny untrained artifacts for the service's tests, saved as training saves them.

Output weights are drawn from a wide distribution, so that the likeliest token changes from step to
step. Models of tests without an end have an [END] that is never likely.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import nn

from model.architecture import ClassifierArchitecture, LanguageModelArchitecture
from model.artifact import Calibration, save_artifact
from model.calibration import OutOfScope
from model.networks import Classifier, LanguageModel
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import (
    train_bpe_tokenizer,
    train_char_tokenizer,
    train_word_tokenizer,
)

TEXT = """The keys to the old cabinet are on the table . A dog near the cats runs home , and nobody
knows why it does so . When the night comes , small birds sing about rivers and far green hills .
"""
LABELS = ("negative", "neutral", "positive")

Cell = Literal["elman", "gru", "lstm"]


def word_tokenizer() -> Tokenizer:
    """About forty words."""
    return train_word_tokenizer([TEXT], vocabulary=None)


def language_model(
    tokenizer: Tokenizer, *, cell: Cell = "lstm", layers: int = 1, ends: bool, seed: int = 0
) -> LanguageModel:
    """A network of 24 units; [END] is either impossible or as likely as anything."""
    torch.manual_seed(seed)
    architecture = LanguageModelArchitecture(
        cell=cell, vocabulary=tokenizer.size, embedding=12, hidden=24, layers=layers
    )
    network = LanguageModel(architecture)
    with torch.no_grad():
        nn.init.normal_(network.output.weight, std=1.5)
        nn.init.normal_(network.embedding.weight)
        nn.init.normal_(network.initial_hidden_L1H, std=0.5)
        network.output.bias[tokenizer.end] = 1.0 if ends else -100.0
    return network


def save_language_model(
    directory: Path,
    name: str,
    tokenizer: Tokenizer,
    network: LanguageModel,
) -> None:
    """An artifact at directory/name."""
    save_artifact(
        directory / name,
        network=network,
        tokenizer=tokenizer,
        name=name,
        provenance={"data": "made up"},
        metrics={"perplexity": 42.0},
    )


def save_classifier(
    directory: Path,
    name: str,
    beyond: OutOfScope | None = None,
    *,
    cell: Cell = "gru",
    bidirectional: bool = True,
    layers: int = 1,
) -> None:
    """A classifier of three labels at directory/name, with an out-of-scope rule if ``beyond`` is
    given.
    """
    torch.manual_seed(1)
    tokenizer = train_word_tokenizer([TEXT], vocabulary=None, lossless=False)
    architecture = ClassifierArchitecture(
        cell=cell,
        vocabulary=tokenizer.size,
        embedding=12,
        hidden=16,
        layers=layers,
        bidirectional=bidirectional,
        pooling="last_max_mean",
        mlp=8,
        labels=len(LABELS),
    )
    network = Classifier(architecture)
    with torch.no_grad():
        nn.init.normal_(network.embedding.weight)
        nn.init.normal_(network.output.weight, std=2.0)
    save_artifact(
        directory / name,
        network=network,
        tokenizer=tokenizer,
        name=name,
        labels=LABELS,
        calibration=Calibration(temperature=1.5, out_of_scope=beyond),
        provenance={"data": "made up"},
        metrics={"accuracy": 0.5},
    )


def save_all(directory: Path) -> None:
    """The models of the tests' main server: a word, a char and a bpe model, and three
    classifiers.
    """
    words = word_tokenizer()
    save_language_model(directory, "words", words, language_model(words, layers=2, ends=False))
    ending = language_model(words, cell="gru", ends=True, seed=3)
    save_language_model(directory, "brief", words, ending)
    chars = train_char_tokenizer([TEXT])
    save_language_model(directory, "chars", chars, language_model(chars, cell="gru", ends=False))
    bpe = train_bpe_tokenizer([TEXT], vocabulary=300)
    save_language_model(directory, "bpe", bpe, language_model(bpe, cell="elman", ends=False))
    save_classifier(directory, "sentiment")
    save_classifier(directory, "topics", OutOfScope("none", weight=2.0, bias=4.0))
    save_classifier(directory, "stories", cell="lstm", bidirectional=False, layers=2)
