"""The pretrained models that the book shows, and sentences all of whose words they know."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from model.artifact import Artifact, load_artifact
from model.networks import LanguageModel
from model.tokenization.tokenizer import Tokenizer

PRETRAINED = Path(__file__).resolve().parents[2] / "pretrained"


@functools.cache
def language_model(name: str = "english-word") -> Artifact:
    """A pretrained language model, ready to be read from."""
    artifact = load_artifact(PRETRAINED / name)
    artifact.network.eval()
    return artifact


def network_of(artifact: Artifact) -> LanguageModel:
    """The network of a language model."""
    assert isinstance(artifact.network, LanguageModel)
    return artifact.network


def first_known(sentences: Sequence[str], tokenizer: Tokenizer) -> str:
    """The first sentence without an unknown word. The lecture's own comes first."""
    return next(s for s in sentences if not unknown(s, tokenizer))


def unknown(sentence: str, tokenizer: Tokenizer) -> list[str]:
    """The unknown words of a sentence."""
    return [p.text for p in tokenizer.pieces(sentence) if p.id == tokenizer.unknown]
