"""Transfer learning: a classifier begins from the tokenizer and encoder of a language model.

The encoder is the network below the output layer: embedding, recurrent layers, learned first state
(Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018). New words
of the training data join the vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from model.artifact import Artifact, load_artifact
from model.networks import Classifier, LanguageModel
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import extend_tokenizer
from training.config.classifier import ClassifierRecipe
from training.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Encoder:
    """A trained language model.

    Args:
        network: whose encoder is transferred.
        known: the tokenizer of the language model.
        tokenizer: the same with the new words of the training data.
    """

    network: LanguageModel
    known: Tokenizer
    tokenizer: Tokenizer


def load_encoder(recipe: ClassifierRecipe, texts: Sequence[str], minimum_count: int) -> Encoder:
    """Loads the artifact that the recipe names in ``from_``.

    Args:
        recipe: of the classifier.
        texts: the training data.
        minimum_count: how often a new word must occur in them.

    Raises:
        ArtifactError, RecipeError: it cannot be read, is no language model, or has another
            architecture than the recipe.
        VocabularyError: it has more tokens than the recipe allows.
    """
    assert recipe.from_ is not None
    artifact = load_artifact(Path(os.path.expandvars(recipe.from_)))
    network = artifact.network
    if not isinstance(network, LanguageModel):
        raise RecipeError(
            f"--from: {recipe.from_} is a classifier; give the artifact of a language model"
        )
    if recipe.vectors is not None:
        raise RecipeError("--vectors: the embedding begins from --from; leave one out")
    if recipe.bidirectional:
        raise RecipeError(
            f"--bidirectional: {recipe.from_} reads from left to right only, and so does what "
            "begins from it; leave it out"
        )
    _check_same(recipe, artifact)
    tokenizer = extend_tokenizer(
        artifact.tokenizer, texts, vocabulary=recipe.vocabulary, minimum_count=minimum_count
    )
    return Encoder(network, artifact.tokenizer, tokenizer)


def as_encoded(recipe: ClassifierRecipe, encoder: Encoder) -> ClassifierRecipe:
    """The recipe with the cell, the widths and the tokenizer of the encoder."""
    a = encoder.network.architecture
    return replace(
        recipe,
        tokenizer=encoder.known.kind,
        cell=a.cell,
        layers=a.layers,
        hidden=a.hidden,
        embedding=a.embedding,
        bidirectional=False,
    )


@torch.no_grad()
def transfer(encoder: Encoder, network: Classifier) -> None:
    """Copies the weights of the encoder into a classifier of the same widths."""
    weights: dict[str, Tensor] = dict(encoder.network.named_parameters())
    weights["embedding.weight"] = extended_embedding(encoder)
    for name, parameter in network.named_parameters():
        if name in weights and not name.startswith("output."):
            parameter.copy_(weights[name])


def extended_embedding(encoder: Encoder) -> Tensor:
    """The embedding (V, E) of the extended vocabulary.

    A new word begins with the vector of the same word in another spelling (capitals, the space
    before it) if the language model has one, else with the mean of all vectors.
    """
    old_VE, size = encoder.network.embedding.weight, encoder.known.size
    new_VE = old_VE.mean(dim=0).repeat(encoder.tokenizer.size, 1)
    new_VE[: size - 1] = old_VE[:-1]
    new_VE[-1] = old_VE[-1]  # [END] is the last of both
    spellings: dict[str, int] = {}
    for token, text in enumerate(encoder.known.vocabulary()[:-1]):
        spellings.setdefault(_plain(text), token)  # the most frequent one comes first
    for token in range(size - 1, encoder.tokenizer.size - 1):
        known = spellings.get(_plain(encoder.tokenizer.text_of(token)))
        if known is not None:
            new_VE[token] = old_VE[known]
    return new_VE


def _plain(text: str) -> str:
    return text.strip().lower()


def _check_same(recipe: ClassifierRecipe, artifact: Artifact) -> None:
    """Checks that the options of the recipe are those of the artifact."""
    a = artifact.manifest.architecture
    actual = {"tokenizer": artifact.tokenizer.kind} | {
        name: getattr(a, name) for name in ("cell", "layers", "hidden", "embedding")
    }
    for name, value in actual.items():
        requested = getattr(recipe, name)
        if requested not in (None, value):
            raise RecipeError(
                f"--{name} {requested}: the encoder of {recipe.from_} has {name} {value}; leave it "
                "out"
            )
