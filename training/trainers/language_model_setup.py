"""The data, the untrained network and the settings of a language-model run."""

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
from training.config.language_model import LanguageModelRecipe
from training.config.language_model_defaults import (
    DEFAULT_MINUTES,
    DEFAULT_SPEED,
    CorpusSize,
    complete_language_model,
    expected_tokens,
    needs_speed,
)
from training.data.corpus import (
    TEST,
    TRAIN,
    VALID,
    TextPieces,
    TextSplits,
    estimated_characters,
    find_splits,
    tokenize_splits,
    unknown_share_of_stream,
    with_chosen_tokenizer,
)
from training.data.split_checks import warn_shared_lines
from training.data.token_store import TokenizedText
from training.data.token_stream import TokenStream
from training.data.unknown_words import check_unknown_share
from training.errors import RecipeError
from training.evaluation.perplexity import likelihood, split_into_columns
from training.optimization.losses import CandidateSampler
from training.readers.vector_files import read_vectors
from training.runs.checkpoint import Checkpoint
from training.runs.directory import RunDirectory
from training.runs.progress import Progress
from training.runs.resolve import reading_data
from training.runs.resuming import check_same_data
from training.runtime.precision import as_precision, choose_precision
from training.runtime.throughput import training_speed
from training.trainers.pretrained_model import InitialModel, copy_weights, load_initial_model

VALIDATION_SHARE = 0.0015  # of a time budget, for one of the regular evaluations
FINAL_SHARE = 0.1  # of a time budget, at most, for the last evaluation
VALIDATION_LIMIT = 50_000  # predictions of an evaluation without a time budget
SMALLEST_LIMIT = 2_000
PROBE_SHARE = 0.02  # of a time budget, at most about, to measure the speed of training
SPEED_TOKENS = 4_000  # predictions on which the speed of evaluation is measured
MOST_UNKNOWN_IN_TEXT = 0.5  # of the tokens of a split; with more a model learns nothing
SAVING_SECONDS = 3.0  # seconds at the end of a time budget for saving


@dataclass(frozen=True, slots=True)
class LanguageModelSetup:
    """The completed recipe and its data.

    Args:
        recipe: with a value for every option.
        splits: the texts.
        tokenizer: of the run.
        train: the tokens to train on.
        valid: the tokens to validate on.
        valid_characters: of the text of ``valid``.
        test: the tokens of the test split, if there is one.
        initial: the model that the network begins from, if the recipe names one.
        tokens_read: about how many training tokens the run will read, if that was estimated.
        speed: multiply-adds per second in training, where the recipe was completed by it.
    """

    recipe: LanguageModelRecipe
    splits: TextSplits
    tokenizer: Tokenizer
    train: TokenStream
    valid: TokenStream
    valid_characters: int
    test: TokenStream | None = None
    initial: InitialModel | None = None
    speed: float | None = None
    tokens_read: float | None = None


def prepare_setup(
    recipe: LanguageModelRecipe,
    directory: RunDirectory,
    checkpoint: Checkpoint | None,
    *,
    processes: int = 1,
) -> LanguageModelSetup:
    """Tokenizes the data, unless its tokens are on the disk already, and completes the recipe.

    Args:
        recipe: of the run.
        directory: where the tokens are written, unless the recipe names a cache.
        checkpoint: that the run is resumed from.
        processes: how many share the lanes.

    Raises:
        RecipeError: the lanes cannot be shared, or --from names another architecture.
        ArtifactError: the model of --from cannot be read.
        DataError, VocabularyError: the data cannot be used.
        OutputError: its tokens cannot be written.
        CheckpointError: it is not the data the run was begun with.
    """
    with reading_data(resumed=checkpoint is not None):
        splits = find_splits(recipe)
    tokenizer, initial = None, None
    if checkpoint is None and recipe.from_ is not None:
        recipe, initial = load_initial_model(recipe)
        tokenizer = initial.tokenizer
    if checkpoint is not None:
        check_same_data(
            checkpoint, splits.digest, directory, [*recipe.train, *recipe.valid, *recipe.test]
        )
        tokenizer = Tokenizer.from_json(checkpoint.values["tokenizer"])
    cache = directory.tokens
    if recipe.token_cache is not None:
        cache = Path(os.path.expandvars(recipe.token_cache))
    recipe = with_chosen_tokenizer(recipe, splits)
    text = _tokenized(recipe, splits, cache, tokenizer)
    train, valid = text.splits[TRAIN], text.splits[VALID]
    if checkpoint is None:
        _check_text(splits, text)
    size = CorpusSize(tokens=len(train.stream), vocabulary=text.tokenizer.size)
    if recipe.precision == "auto":
        recipe = replace(recipe, precision=choose_precision())
    speed = None
    if needs_speed(recipe):
        patience = PROBE_SHARE * 60.0 * (recipe.minutes or DEFAULT_MINUTES)
        speed = training_speed(as_precision(recipe.precision), patience)
    completed = complete_language_model(recipe, size, speed or DEFAULT_SPEED)
    recipe = _with_shared_lanes(completed, recipe.batch, size.tokens, processes)
    return LanguageModelSetup(
        recipe,
        splits,
        text.tokenizer,
        train.stream,
        valid.stream,
        valid.characters,
        test=text.splits[TEST].stream if TEST in text.splits else None,
        initial=initial,
        speed=speed,
        tokens_read=None if speed is None else expected_tokens(recipe, size, speed),
    )


def _tokenized(
    recipe: LanguageModelRecipe, splits: TextSplits, cache: Path, tokenizer: Tokenizer | None
) -> TokenizedText:
    """The tokens of the splits; a bar shows the progress, estimated by the size of the files."""
    totals = {name: estimated_characters(split) for name, split in splits.by_name().items()}
    with Progress("tokenizing") as bar:

        def on_progress(name: str, characters: int) -> None:
            share = min(0.99, characters / totals[name])  # compressed text has more
            bar.update(share, figures={"million characters": characters / 1e6})

        return tokenize_splits(recipe, splits, cache, tokenizer, on_progress)


def build_network(setup: LanguageModelSetup) -> LanguageModel:
    """The network of a recipe before training, with the weights or word vectors that it names.

    Raises:
        ArchitectureError, DataError, RecipeError: the recipe gives no network.
    """
    recipe = setup.recipe
    architecture = LanguageModelArchitecture(
        cell=recipe.cell or "lstm",
        vocabulary=setup.tokenizer.size,
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
    counts_V = _token_counts(setup) + 1.0
    network.output.init_bias_from_frequencies(counts_V / counts_V.sum())
    if recipe.vectors is not None:
        _load_vectors(network, recipe.vectors, setup.tokenizer)
    if setup.initial is not None:
        copy_weights(setup.initial.network, network)
    if recipe.freeze_embeddings:
        if recipe.tied:
            raise RecipeError("--freeze-embeddings: needs --no-tied, or the output layer freezes")
        network.embedding.weight.requires_grad_(False)
    return network


def measure_evaluation(
    setup: LanguageModelSetup, network: LanguageModel
) -> tuple[LanguageModelSetup, float]:
    """Chooses the length of the regular evaluations, by the measured speed of the network.

    Returns:
        The setup, whose recipe names that length in tokens, and the seconds of a time budget to
        keep for the last evaluation and for saving.
    """
    recipe, total = setup.recipe, len(setup.valid)
    if recipe.minutes is None:
        regular = min(total, recipe.evaluation_tokens or VALIDATION_LIMIT)
        return _with_evaluation_tokens(setup, regular), 0.0
    seconds = recipe.minutes * 60.0
    speed = _evaluation_speed(setup, network)
    chosen = max(SMALLEST_LIMIT, int(VALIDATION_SHARE * seconds * speed))
    regular = min(total, recipe.evaluation_tokens or chosen)
    measured = total + (0 if setup.test is None else len(setup.test))
    final = min(FINAL_SHARE * seconds, 1.2 * (measured + 2 * regular) / speed)
    return _with_evaluation_tokens(setup, regular), final + min(SAVING_SECONDS, 0.1 * seconds)


def candidate_sampler(setup: LanguageModelSetup) -> CandidateSampler | None:
    """The sampler of a sampled softmax; None for another softmax.

    Half of the candidates are the most frequent tokens, half are drawn from the others.
    """
    if setup.recipe.softmax != "sampled":
        return None
    half = max(1, min(setup.recipe.candidates or 1, setup.tokenizer.size - 2) // 2)
    return CandidateSampler(_token_counts(setup), frequent=half, drawn=half)


def _with_evaluation_tokens(setup: LanguageModelSetup, tokens: int) -> LanguageModelSetup:
    return replace(setup, recipe=replace(setup.recipe, evaluation_tokens=tokens))


def _check_text(splits: TextSplits, text: TokenizedText) -> None:
    """Refuses splits of unknown words; warns of lines that are in both splits."""
    held_out = "the held-out text" if splits.held_out else f"--{VALID}"
    warn_shared_lines(TextPieces(splits.train), TextPieces(splits.valid), held_out)
    for name, label, documents in (
        (TRAIN, f"--{TRAIN}", splits.train),
        (VALID, held_out, splits.valid),
    ):
        check_unknown_share(
            label,
            unknown_share_of_stream(text.splits[name].stream, text.tokenizer),
            TextPieces(documents),
            most=MOST_UNKNOWN_IN_TEXT,
            advice="choose --tokenizer char or bpe, or give more text like it to --train",
        )


def _with_shared_lanes(
    recipe: LanguageModelRecipe, requested: int | None, tokens: int, processes: int
) -> LanguageModelRecipe:
    """The recipe with equally many lanes for each process; a requested number is not changed."""
    lanes = min(recipe.batch or 1, tokens)
    if lanes % processes == 0:
        return recipe
    if requested is not None or lanes < processes:
        raise RecipeError(
            f"--batch: {lanes} lanes cannot be shared evenly by {processes} processes; give a "
            f"multiple of {processes}, or start fewer"
        )
    return replace(recipe, batch=lanes - lanes % processes)


def _token_counts(setup: LanguageModelSetup) -> Tensor:
    """The count of each token in the training data, (V,)."""
    return torch.from_numpy(setup.train.counts(setup.tokenizer.size))


def guessing_loss(setup: LanguageModelSetup) -> float:
    """The validation loss of the smoothed unigram distribution of the training data, in nats."""
    train_V = _token_counts(setup).double() + 1.0
    valid_V = torch.from_numpy(setup.valid.counts(setup.tokenizer.size)).double()
    return float(-(valid_V * (train_V / train_V.sum()).log()).sum() / valid_V.sum())


def _load_vectors(network: LanguageModel, file: str, tokenizer: Tokenizer) -> None:
    vectors = read_vectors(Path(os.path.expandvars(file)), words_of(tokenizer))
    width = network.architecture.embedding
    widths = {len(vector) for vector in vectors.values()}
    if not widths:
        raise RecipeError(f"--vectors: {file} has none of the words of the training data")
    if widths != {width}:
        raise RecipeError(
            f"--embedding is {width}, but {file} has vectors of {widths.pop()} numbers"
        )
    matrix_VE, _ = embedding_matrix(tokenizer, vectors, width)
    with torch.no_grad():
        network.embedding.weight.copy_(matrix_VE)


def _evaluation_speed(setup: LanguageModelSetup, network: LanguageModel) -> float:
    """Predictions per second in float32."""
    columns = split_into_columns(setup.valid, limit=SPEED_TOKENS, burn_in=0)
    start = time.perf_counter()
    return likelihood(network, columns, "float32").count / (time.perf_counter() - start)
