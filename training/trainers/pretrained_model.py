"""Transfer learning: a run begins from the tokenizer and weights of a language model.

A language model takes over the whole network and the tokenizer as they are. A classifier takes over
the encoder, which is the network below the output layer: embedding, recurrent layers, learned first
state (Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018); new
words of its training data join the vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model.artifact import Artifact, load_artifact
from model.manifest import WEIGHTS_FILE
from model.networks import Classifier, LanguageModel
from model.tokenization.tokenizer import Tokenizer
from model.tokenization.tokenizer_training import extend_tokenizer
from training.config.classifier import ClassifierRecipe
from training.config.language_model import LanguageModelRecipe
from training.errors import RecipeError

_SIZES = ("cell", "layers", "hidden", "embedding", "projection", "tied")  # of a language model


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


@dataclass(frozen=True, slots=True)
class InitialModel:
    """The language model that another one begins from.

    Args:
        network: whose weights are copied.
        tokenizer: of both.
    """

    network: LanguageModel
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
    artifact, network = _load_language_model(recipe.from_)
    if recipe.vectors is not None:
        raise RecipeError("--vectors: the embedding begins from --from; leave one out")
    if recipe.bidirectional:
        raise RecipeError(
            f"--bidirectional: {recipe.from_} reads from left to right only, and so does what "
            "begins from it; leave it out"
        )
    actual = _options_of(artifact, ("cell", "layers", "hidden", "embedding"))
    _check_same(recipe, actual, "the encoder of ")
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


def load_initial_model(recipe: LanguageModelRecipe) -> tuple[LanguageModelRecipe, InitialModel]:
    """Loads the language model that the recipe names in ``from_``.

    Returns:
        The recipe with the architecture and the tokenizer of that model, and the model.

    Raises:
        ArtifactError, RecipeError: it cannot be read, is no language model, or has another
            architecture or tokenizer than the recipe.
    """
    artifact, network = _load_language_model(recipe.from_)
    for name in ("vocabulary", "minimum_count", "pretokenized", "vectors"):
        if getattr(recipe, name) is not None:
            option = name.replace("_", "-")
            raise RecipeError(f"--{option}: {recipe.from_} gives the vocabulary; leave it out")
    actual = _options_of(artifact, (*_SIZES, "cutoffs", "division"))
    actual["projection"] = actual["projection"] or 0
    adaptive = bool(actual["cutoffs"])
    if not adaptive:
        del actual["cutoffs"], actual["division"]
    _check_same(recipe, actual, "")
    if recipe.softmax is not None and adaptive != (recipe.softmax == "adaptive"):
        raise RecipeError(
            f"--softmax {recipe.softmax}: {recipe.from_} has {'an' if adaptive else 'no'} adaptive "
            "softmax; leave it out"
        )
    if adaptive:
        actual["softmax"] = "adaptive"
    return replace(recipe, **actual), InitialModel(network, artifact.tokenizer)


@torch.no_grad()
def copy_weights(source: LanguageModel, network: LanguageModel) -> None:
    """Copies all weights of a language model into one of the same architecture."""
    weights = dict(source.named_parameters())
    for name, parameter in network.named_parameters():
        parameter.copy_(weights[name])


def weights_source(from_: str | None) -> dict[str, list[str]]:
    """The file of weights that a run begins with, for the provenance in the manifest."""
    return {} if from_ is None else {"from": [str(_directory(from_) / WEIGHTS_FILE)]}


def _directory(from_: str) -> Path:
    return Path(os.path.expandvars(from_))


def _load_language_model(source: str | None) -> tuple[Artifact, LanguageModel]:
    assert source is not None
    artifact = load_artifact(_directory(source))
    if not isinstance(artifact.network, LanguageModel):
        raise RecipeError(
            f"--from: {source} is a classifier; give the artifact of a language model"
        )
    return artifact, artifact.network


def _options_of(artifact: Artifact, names: Sequence[str]) -> dict[str, Any]:
    architecture = artifact.manifest.architecture
    return {"tokenizer": artifact.tokenizer.kind} | {
        name: getattr(architecture, name) for name in names
    }


def _check_same(
    recipe: ClassifierRecipe | LanguageModelRecipe, actual: Mapping[str, Any], part: str
) -> None:
    """Checks that the options of the recipe are those of the model, or left to the run."""
    for name, value in actual.items():
        requested = getattr(recipe, name)
        if requested not in (None, "auto", value):
            raise RecipeError(
                f"--{name} {requested}: {part}{recipe.from_} has {name} {value}; leave it out"
            )
