"""What is decided before a language model's first step: data, network, settings of the loop."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from model.architecture import LanguageModelArchitecture
from model.embeddings import embedding_matrix, read_vectors, words_of
from model.networks import LanguageModel
from model.regularisation import Regularisation
from model.tokenizer import Tokenizer
from training.checkpoint import Checkpoint, CheckpointError
from training.corpus import Stream
from training.language_model_data import (
    Documents,
    make_tokenizer,
    read_splits,
    streams,
)
from training.language_model_recipe import CorpusSize, LanguageModelRecipe, complete
from training.language_model_run import Settings
from training.objective import ActivationPenalties, CandidateSampler
from training.perplexity import lay_out, likelihood
from training.precision import choose_precision
from training.recipe import RecipeError
from training.run_directory import RunDirectory
from training.schedule import Budget, OneCycle
from training.windows import Windows

VALIDATION_SHARE = 0.0025  # of a time budget, for one of the regular evaluations
FINAL_SHARE = 0.1  # of a time budget, at most, for the last one
VALIDATION_LIMIT = 50_000  # predictions, without a time budget
SMALLEST_LIMIT = 2_000
SHORT_RUN_IN = 64  # tokens, for the regular evaluations
PROBE = 4_000  # predictions by which the speed of evaluation is measured
MARGIN = 3.0  # seconds kept at the end of a time budget for saving


@dataclass(frozen=True, slots=True)
class Prepared:
    """The completed recipe and its data."""

    recipe: LanguageModelRecipe
    documents: Documents
    tokenizer: Tokenizer
    train: Stream
    valid: Stream


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run with a time budget measures at its beginning, and a resumed one keeps.

    ``regular`` is how many predictions a regular evaluation reads, ``begin`` the seconds that went
    by before the first step, ``reserve`` those kept for what follows the last one.
    """

    regular: int
    begin: float = 0.0
    reserve: float = 0.0


def prepare(
    recipe: LanguageModelRecipe, directory: RunDirectory, checkpoint: Checkpoint | None
) -> Prepared:
    """Reads and encodes the data, and completes the recipe.

    Raises:
        DataError, VocabularyError: the data cannot be used.
        CheckpointError: it is not the data the run was begun with.
    """
    documents = read_splits(recipe)
    if checkpoint is None:
        tokenizer = make_tokenizer(recipe, documents.train)
    else:
        _check_data(recipe, documents, directory, checkpoint)
        tokenizer = Tokenizer.from_json(checkpoint.values["tokenizer"])
    train, valid = streams(documents, tokenizer)
    recipe = complete(recipe, CorpusSize(tokens=len(train), vocabulary=tokenizer.size))
    if recipe.precision == "auto":
        recipe = replace(recipe, precision=choose_precision())
    return Prepared(recipe, documents, tokenizer, train, valid)


def build_network(prepared: Prepared) -> LanguageModel:
    """The untrained network of a recipe, its embedding filled from a file if there is one.

    Raises:
        ArchitectureError, RecipeError, VectorFileError: it cannot be built so.
    """
    recipe = prepared.recipe
    architecture = LanguageModelArchitecture(
        cell=recipe.cell,
        vocabulary=prepared.tokenizer.size,
        embedding=recipe.embedding or 0,
        hidden=recipe.hidden or 0,
        layers=recipe.layers or 0,
        projection=recipe.projection or None,
        tied=bool(recipe.tied),
        cutoffs=recipe.cutoffs or (),
        division=recipe.division,
    )
    network = LanguageModel(
        architecture,
        Regularisation(
            input=recipe.dropout_input or 0.0,
            hidden=recipe.dropout_hidden or 0.0,
            output=recipe.dropout_output or 0.0,
            embedding=recipe.dropout_embedding or 0.0,
            weight=recipe.dropout_weight or 0.0,
        ),
    )
    if recipe.vectors is not None:
        _read_embedding(network, recipe.vectors, prepared.tokenizer)
    if recipe.freeze_embeddings:
        if recipe.tied:
            raise RecipeError("--freeze-embeddings: needs --no-tied, or the output layer freezes")
        network.embedding.weight.requires_grad_(False)
    return network


def measure_limits(prepared: Prepared, network: LanguageModel, began: float) -> Limits:
    """Bounds that follow from how fast the network reads here. ``began``: monotonic clock."""
    total = len(prepared.valid)
    if prepared.recipe.minutes is None:
        return Limits(min(total, VALIDATION_LIMIT))
    seconds = prepared.recipe.minutes * 60.0
    speed = _reading_speed(prepared, network)
    regular = min(total, max(SMALLEST_LIMIT, int(VALIDATION_SHARE * seconds * speed)))
    final = min(FINAL_SHARE * seconds, 1.2 * (total + 2 * regular) / speed)
    return Limits(regular, time.monotonic() - began, final + min(MARGIN, 0.1 * seconds))


def loop_settings(prepared: Prepared, limits: Limits) -> Settings:
    """The recipe as the training loop wants it."""
    recipe = prepared.recipe
    return Settings(
        windows=Windows(
            stream=prepared.train,
            lanes=recipe.batch or 1,
            length=recipe.bptt or 1,
            restart=recipe.restart,
            seed=recipe.seed,
        ),
        validation=lay_out(prepared.valid, limit=limits.regular, run_in=SHORT_RUN_IN),
        budget=Budget(
            seconds=recipe.minutes and recipe.minutes * 60.0,
            steps=recipe.steps,
            epochs=recipe.epochs,
        ),
        begin=limits.begin,
        reserve=limits.reserve,
        cycle=OneCycle(peak=recipe.learning_rate or 0.0, warm_up=recipe.warm_up),
        penalties=ActivationPenalties(
            activation=recipe.activation_penalty or 0.0, temporal=recipe.temporal_penalty or 0.0
        ),
        sampler=_sampler(prepared),
        precision=recipe.precision if recipe.precision != "auto" else "float32",
        weight_decay=recipe.weight_decay or 0.0,
        clip_norm=recipe.clip_norm,
        clip_value=recipe.clip_value,
        averaging=recipe.averaging,
        patience=recipe.patience,
        evaluations=recipe.evaluations,
    )


def _check_data(
    recipe: LanguageModelRecipe,
    documents: Documents,
    directory: RunDirectory,
    checkpoint: Checkpoint,
) -> None:
    if checkpoint.values["data"] != documents.digest:
        raise CheckpointError(
            f"{directory.checkpoint}: the run was begun with other data than "
            f"{', '.join([*recipe.train, *recipe.valid])} holds now; restore the files, or begin "
            "anew with --overwrite"
        )


def _read_embedding(network: LanguageModel, file: str, tokenizer: Tokenizer) -> None:
    vectors = read_vectors(Path(os.path.expandvars(file)), words_of(tokenizer))
    width = network.architecture.embedding
    widths = {len(vector) for vector in vectors.values()}
    if not widths:
        raise RecipeError(f"--vectors: {file} has none of the words of the training data")
    if widths != {width}:
        found = widths.pop()
        raise RecipeError(f"--embedding is {width}, but {file} has vectors of {found} numbers")
    matrix_VE, _ = embedding_matrix(tokenizer, vectors, width)
    with torch.no_grad():
        network.embedding.weight.copy_(matrix_VE)


def _reading_speed(prepared: Prepared, network: LanguageModel) -> float:
    """Predictions a second in float32."""
    reading = lay_out(prepared.valid, limit=PROBE, run_in=0)
    began = time.perf_counter()
    return likelihood(network, reading, "float32").count / (time.perf_counter() - began)


def _sampler(prepared: Prepared) -> CandidateSampler | None:
    """Half of the candidates are the most frequent tokens, half are drawn from the others."""
    if prepared.recipe.softmax != "sampled":
        return None
    half = max(1, min(prepared.recipe.candidates, prepared.tokenizer.size - 2) // 2)
    counts_V = torch.bincount(
        torch.from_numpy(prepared.train.tokens_N), minlength=prepared.tokenizer.size
    )
    return CandidateSampler(counts_V, frequent=half, drawn=half)
