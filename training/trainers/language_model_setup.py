"""What is decided before a language model's first step: data, network, settings of the loop."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from model.architecture import LanguageModelArchitecture
from model.embeddings import embedding_matrix, words_of
from model.networks import LanguageModel
from model.regularization import Regularization
from model.tokenization.tokenizer import Tokenizer
from training.config.language_model import (
    DEFAULT_MINUTES,
    DEFAULT_SPEED,
    CorpusSize,
    LanguageModelRecipe,
    complete_language_model,
    needs_speed,
)
from training.data.bptt import BPTTLoader
from training.data.corpus import (
    TRAIN,
    VALID,
    TextPieces,
    TextSplits,
    find_splits,
    tokenize_splits,
    unknown_share_of_stream,
)
from training.data.split_checks import warn_shared_lines
from training.data.token_store import TokenizedText
from training.data.token_stream import TokenStream
from training.data.unknown_words import check_unknown_share
from training.errors import CheckpointError, RecipeError
from training.evaluation.perplexity import likelihood, split_into_columns
from training.optimization.clipping import Clipping
from training.optimization.losses import ActivationPenalties, CandidateSampler
from training.optimization.schedule import Budget, OneCycle
from training.readers.vector_files import read_vectors
from training.runs.checkpoint import Checkpoint
from training.runs.directory import RunDirectory
from training.runs.resolve import reading_data
from training.runtime.precision import choose_precision, settled
from training.runtime.throughput import training_speed
from training.trainers.language_model import Settings

VALIDATION_SHARE = 0.0015  # of a time budget, for one of the regular evaluations
FINAL_SHARE = 0.1  # of a time budget, at most, for the last one
VALIDATION_LIMIT = 50_000  # predictions, without a time budget
SMALLEST_LIMIT = 2_000
SHORT_BURN_IN = 64  # tokens, for the regular evaluations
PROBE_SHARE = 0.02  # of a time budget, at most about, to measure the speed of training
PROBE = 4_000  # predictions by which the speed of evaluation is measured
MOST_UNKNOWN = 0.5  # of the tokens of a split, which is still worth training on
MARGIN = 3.0  # seconds kept at the end of a time budget for saving


@dataclass(frozen=True, slots=True)
class Prepared:
    """The completed recipe and its data.

    ``valid_characters``: of the text of ``valid``; ``speed``: of training, if it was measured, in
    additions and multiplications a second.
    """

    recipe: LanguageModelRecipe
    splits: TextSplits
    tokenizer: Tokenizer
    train: TokenStream
    valid: TokenStream
    valid_characters: int
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run with a time budget measures at its beginning, and a resumed one keeps.

    ``reserve``: the seconds kept for what follows the last step.
    """

    reserve: float = 0.0


def prepare(
    recipe: LanguageModelRecipe,
    directory: RunDirectory,
    checkpoint: Checkpoint | None,
    *,
    processes: int = 1,
) -> Prepared:
    """Tokenizes the data, or finds it tokenized, and completes the recipe.

    ``processes`` are those that share the lanes.

    Raises:
        RecipeError: the lanes cannot be shared.
        DataError, VocabularyError: the data cannot be used.
        OutputError: its tokens cannot be written.
        CheckpointError: it is not the data the run was begun with.
    """
    with reading_data(resumed=checkpoint is not None):
        splits = find_splits(recipe)
    tokenizer = None
    if checkpoint is not None:
        _check_data(recipe, splits, directory, checkpoint)
        tokenizer = Tokenizer.from_json(checkpoint.values["tokenizer"])
    cache = directory.tokens
    if recipe.token_cache is not None:
        cache = Path(os.path.expandvars(recipe.token_cache))
    text = tokenize_splits(recipe, splits, cache, tokenizer)
    train, valid = text.splits[TRAIN], text.splits[VALID]
    if checkpoint is None:
        _check_text(splits, text)
    size = CorpusSize(tokens=len(train.stream), vocabulary=text.tokenizer.size)
    if recipe.precision == "auto":
        recipe = replace(recipe, precision=choose_precision())
    speed = None
    if needs_speed(recipe):
        patience = PROBE_SHARE * 60.0 * (recipe.minutes or DEFAULT_MINUTES)
        speed = training_speed(settled(recipe.precision), patience)
    completed = complete_language_model(recipe, size, speed or DEFAULT_SPEED)
    recipe = _shared(completed, recipe.batch, size.tokens, processes)
    return Prepared(
        recipe, splits, text.tokenizer, train.stream, valid.stream, valid.characters, speed
    )


def build_network(prepared: Prepared) -> LanguageModel:
    """The untrained network of a recipe, its embedding filled from a file if there is one.

    Raises:
        ArchitectureError, DataError, RecipeError: it cannot be built so.
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
        Regularization(
            input=recipe.dropout_input or 0.0,
            hidden=recipe.dropout_hidden or 0.0,
            output=recipe.dropout_output or 0.0,
            embedding=recipe.dropout_embedding or 0.0,
            weight=recipe.dropout_weight or 0.0,
        ),
    )
    seen_V = _token_counts(prepared) + 1.0
    network.output.init_bias_from_frequencies(seen_V / seen_V.sum())
    if recipe.vectors is not None:
        _read_embedding(network, recipe.vectors, prepared.tokenizer)
    if recipe.freeze_embeddings:
        if recipe.tied:
            raise RecipeError("--freeze-embeddings: needs --no-tied, or the output layer freezes")
        network.embedding.weight.requires_grad_(False)
    return network


def measured(prepared: Prepared, network: LanguageModel) -> tuple[Prepared, Limits]:
    """With the bounds that follow from how fast the network reads here; the recipe names them."""
    recipe, total = prepared.recipe, len(prepared.valid)
    if recipe.minutes is None:
        regular = min(total, recipe.evaluation_tokens or VALIDATION_LIMIT)
        return _with_evaluations(prepared, regular), Limits()
    seconds = recipe.minutes * 60.0
    speed = _reading_speed(prepared, network)
    chosen = max(SMALLEST_LIMIT, int(VALIDATION_SHARE * seconds * speed))
    regular = min(total, recipe.evaluation_tokens or chosen)
    final = min(FINAL_SHARE * seconds, 1.2 * (total + 2 * regular) / speed)
    return _with_evaluations(prepared, regular), Limits(final + min(MARGIN, 0.1 * seconds))


def _with_evaluations(prepared: Prepared, tokens: int) -> Prepared:
    return replace(prepared, recipe=replace(prepared.recipe, evaluation_tokens=tokens))


def loop_settings(prepared: Prepared, limits: Limits) -> Settings:
    """The recipe as the training loop wants it."""
    recipe = prepared.recipe
    return Settings(
        windows=BPTTLoader(
            stream=prepared.train,
            columns=recipe.batch or 1,
            length=recipe.bptt or 1,
            restart=recipe.restart,
            seed=recipe.seed,
        ),
        validation=split_into_columns(
            prepared.valid, limit=recipe.evaluation_tokens, burn_in=SHORT_BURN_IN
        ),
        budget=Budget(
            seconds=recipe.minutes and recipe.minutes * 60.0,
            steps=recipe.steps,
            epochs=recipe.epochs,
        ),
        reserve=limits.reserve,
        recorded_pace=recipe.pace,
        cycle=OneCycle(peak=recipe.learning_rate or 0.0, warm_up=recipe.warm_up),
        penalties=ActivationPenalties(
            activation=recipe.activation_penalty or 0.0, temporal=recipe.temporal_penalty or 0.0
        ),
        sampler=_sampler(prepared),
        precision=settled(recipe.precision),
        weight_decay=recipe.weight_decay or 0.0,
        clipping=Clipping(by_value=recipe.clip_value, by_norm=recipe.clip_norm),
        guessing=_guessing_loss(prepared),
        averaging=recipe.averaging,
        patience=recipe.patience,
        evaluations=recipe.evaluations,
    )


def _check_text(splits: TextSplits, text: TokenizedText) -> None:
    """Refuses what nothing can be learned of, tells what would make figures too good."""
    held_out = "the held-out text" if splits.held_out else f"--{VALID}"
    warn_shared_lines(TextPieces(splits.train), TextPieces(splits.valid), held_out)
    for name, told, documents in (
        (TRAIN, f"--{TRAIN}", splits.train),
        (VALID, held_out, splits.valid),
    ):
        check_unknown_share(
            told,
            unknown_share_of_stream(text.splits[name].stream, text.tokenizer),
            TextPieces(documents),
            most=MOST_UNKNOWN,
            advice="choose --tokenizer char or bpe, or give more text like it to --train",
        )


def _shared(
    recipe: LanguageModelRecipe, asked: int | None, tokens: int, processes: int
) -> LanguageModelRecipe:
    """With as many lanes for each process; what was ``asked`` for is not changed."""
    lanes = min(recipe.batch or 1, tokens)
    if lanes % processes == 0:
        return recipe
    if asked is not None or lanes < processes:
        raise RecipeError(
            f"--batch: {lanes} lanes cannot be shared evenly by {processes} processes; give a "
            f"multiple of {processes}, or start fewer"
        )
    return replace(recipe, batch=lanes - lanes % processes)


def _check_data(
    recipe: LanguageModelRecipe, splits: TextSplits, directory: RunDirectory, checkpoint: Checkpoint
) -> None:
    if checkpoint.values["data"] != splits.digest:
        raise CheckpointError(
            f"{directory.checkpoint}: the run was begun with other data than "
            f"{', '.join([*recipe.train, *recipe.valid])} holds now; restore the files, or begin "
            "anew with --overwrite"
        )


def _token_counts(prepared: Prepared) -> Tensor:
    """How often each token stands in the training data; (V)."""
    return torch.from_numpy(prepared.train.counts(prepared.tokenizer.size))


def _guessing_loss(prepared: Prepared) -> float:
    """Of guessing each token of the validation split by how often it is in the training data."""
    seen_V = _token_counts(prepared).double() + 1.0
    asked_V = torch.from_numpy(prepared.valid.counts(prepared.tokenizer.size)).double()
    return float(-(asked_V * (seen_V / seen_V.sum()).log()).sum() / asked_V.sum())


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
    reading = split_into_columns(prepared.valid, limit=PROBE, burn_in=0)
    began = time.perf_counter()
    return likelihood(network, reading, "float32").count / (time.perf_counter() - began)


def _sampler(prepared: Prepared) -> CandidateSampler | None:
    """Half of the candidates are the most frequent tokens, half are drawn from the others."""
    if prepared.recipe.softmax != "sampled":
        return None
    half = max(1, min(prepared.recipe.candidates or 1, prepared.tokenizer.size - 2) // 2)
    return CandidateSampler(_token_counts(prepared), frequent=half, drawn=half)
