"""``python -m training lm``: from files of text to an artifact.

Puts the parts together (data, tokenizer, network, run), saves the best model whenever there is a
better one and the run every minute, and measures the best on the whole validation split at the end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from model.architecture import LanguageModelArchitecture
from model.artifact import save_artifact
from model.embeddings import embedding_matrix, read_vectors, words_of
from model.networks import LanguageModel
from model.regularisation import Regularisation
from model.tokenizer import Tokenizer
from training.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from training.corpus import Stream
from training.interruption import Interruption
from training.language_model_data import (
    Documents,
    expanded,
    make_tokenizer,
    read_splits,
    streams,
    unknown_share,
)
from training.language_model_recipe import CorpusSize, LanguageModelRecipe, complete
from training.language_model_report import RunReport
from training.language_model_run import Evaluation, LanguageModelRun, Settings, train
from training.objective import ActivationPenalties, CandidateSampler
from training.perplexity import lay_out, likelihood
from training.precision import choose_precision
from training.provenance import provenance
from training.recipe import (
    RecipeError,
    checked_options,
    differences,
    read_recipe,
    recipe_values,
    write_recipe,
)
from training.run_directory import Invocation, RunDirectory
from training.schedule import Budget, OneCycle
from training.windows import Windows

INTERRUPTED = 130
VALIDATION_SHARE = 0.0025  # of a time budget, for one of the regular evaluations
FINAL_SHARE = 0.1  # of a time budget, for the last one
VALIDATION_LIMIT = 50_000  # predictions, without a time budget
SMALLEST_LIMIT = 2_000
SHORT_RUN_IN = 64  # tokens, for the regular evaluations
MARGIN = 3.0  # seconds kept at the end of a time budget for saving
PROBE = 4_000  # predictions by which the speed of evaluation is measured


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that is decided before the first step."""

    recipe: LanguageModelRecipe
    documents: Documents
    tokenizer: Tokenizer
    train: Stream
    valid: Stream


def run(invocation: Invocation) -> int:
    """Trains a language model; the exit status.

    Raises:
        DataError, RecipeError, OutputError, VocabularyError, CheckpointError, ...: each with a
            message for the person who asked.
    """
    began = time.monotonic()
    directory = RunDirectory(invocation.out)
    checkpoint = load_checkpoint(directory.checkpoint) if invocation.resume else None
    recipe = _recipe(invocation, checkpoint)
    torch.set_num_threads(recipe.threads or _processors())
    prepared = _prepare(recipe, directory, checkpoint)
    if checkpoint is None:
        directory.begin(overwrite=invocation.overwrite)
        prepared.tokenizer.save(directory.tokenizer)
        heading = "What `python -m training lm --recipe FILE --out DIR` needs to repeat this run."
        write_recipe(directory.recipe, prepared.recipe, heading=heading)
    return _train(prepared, directory, checkpoint, began)


def _recipe(invocation: Invocation, checkpoint: Checkpoint | None) -> LanguageModelRecipe:
    """Of a fresh run: defaults, recipe file, command line. Of a resumed one: as it was."""
    given = dict(invocation.given)
    if invocation.recipe_file is not None:
        given = read_recipe(invocation.recipe_file, LanguageModelRecipe) | given
    if checkpoint is None:
        recipe = LanguageModelRecipe(**given)
        if recipe.name is None:
            recipe = replace(recipe, name=invocation.out.resolve().name)
        return recipe
    place = str(invocation.out)
    stored = checked_options(LanguageModelRecipe, checkpoint.values["recipe"], place=place)
    recipe = LanguageModelRecipe(**stored)
    changed = differences(recipe, given)
    if changed:
        raise RecipeError(
            f"--resume: {'; '.join(changed)}. A resumed run keeps its options: leave them out, or "
            "begin anew with --overwrite"
        )
    free = {name: given[name] for name in ("threads", "checkpoint_seconds") if name in given}
    return replace(recipe, **free)


def _prepare(
    recipe: LanguageModelRecipe, directory: RunDirectory, checkpoint: Checkpoint | None
) -> Prepared:
    documents = read_splits(recipe)
    if checkpoint is None:
        tokenizer = make_tokenizer(recipe, documents.train)
    else:
        if checkpoint.values["data"] != documents.digest:
            raise CheckpointError(
                f"{directory.checkpoint}: the run was begun with other data than is in "
                f"{', '.join([*recipe.train, *recipe.valid])} now; restore the files, or begin "
                "anew with --overwrite"
            )
        tokenizer = Tokenizer.from_json(checkpoint.values["tokenizer"])
    train_stream, valid_stream = streams(documents, tokenizer)
    recipe = complete(recipe, CorpusSize(tokens=len(train_stream), vocabulary=tokenizer.size))
    if recipe.precision == "auto":
        recipe = replace(recipe, precision=choose_precision())
    return Prepared(recipe, documents, tokenizer, train_stream, valid_stream)


def _train(
    prepared: Prepared, directory: RunDirectory, checkpoint: Checkpoint | None, began: float
) -> int:
    recipe = prepared.recipe
    torch.manual_seed(recipe.seed)
    network = _network(prepared)
    limits = checkpoint.values["limits"] if checkpoint else _limits(prepared, network, began)
    torch.manual_seed(recipe.seed)
    training = LanguageModelRun(network, _settings(prepared, limits), began)
    if checkpoint is not None:
        training.restore(checkpoint)
    header = {
        "recipe": recipe_values(recipe),
        "data": prepared.documents.digest,
        "tokenizer": prepared.tokenizer.to_json(),
        "limits": limits,
    }
    keeper = _Keeper(prepared, directory, training, header)
    with RunReport(training, directory, recipe, resumed=checkpoint is not None) as report:
        report.introduce(network, len(prepared.train), len(prepared.valid), keeper.unknown)
        if prepared.documents.held_out:
            report.note(f"no --valid: the last {recipe.holdout:.0%} of the text is held out")
        if checkpoint is None:
            keeper.save_run()
        with Interruption() as interruption:
            finished = train(
                training,
                on_evaluation=lambda found, progress: _after_evaluation(
                    found, progress, keeper, report
                ),
                on_step=lambda progress: _between_steps(progress, interruption, keeper, report),
            )
        keeper.save_run()
        if not finished:
            report.note(f"stopped; continue with --resume --out {directory.artifact}")
            return INTERRUPTED
        training.put_best()
        metrics = keeper.final_metrics()
        keeper.save_artifact(metrics)
        report.conclude(metrics)
    return 0


def _after_evaluation(
    found: Evaluation, progress: float, keeper: _Keeper, report: RunReport
) -> None:
    report.evaluated(found, progress)
    if found.better:
        keeper.save_best()


def _between_steps(
    progress: float, interruption: Interruption, keeper: _Keeper, report: RunReport
) -> bool:
    report.stepped(progress)
    if interruption.signal is not None:
        return True
    try:
        keeper.save_run_if_due()
    except CheckpointError as error:  # what is saved is kept; the next attempt may succeed
        report.note(f"warning: {error}")
    return False


class _Keeper:
    """Saves the run and its best model."""

    def __init__(
        self,
        prepared: Prepared,
        directory: RunDirectory,
        training: LanguageModelRun,
        header: Mapping[str, Any],
    ) -> None:
        self._prepared = prepared
        self._directory = directory
        self._training = training
        self._header = header
        self._saved = time.monotonic()
        self.unknown = unknown_share(prepared.valid, prepared.tokenizer)
        recipe = prepared.recipe
        self._provenance = provenance(
            sources={"train": expanded(recipe.train), "valid": expanded(recipe.valid)},
            recipe=recipe_values(recipe),
            seed=recipe.seed,
        )

    def save_run_if_due(self) -> None:
        if time.monotonic() - self._saved >= self._prepared.recipe.checkpoint_seconds:
            self.save_run()

    def save_run(self) -> None:
        self._saved = time.monotonic()
        state = self._training.checkpoint()
        save_checkpoint(
            self._directory.checkpoint,
            Checkpoint(state.tensors, {**self._header, **state.values}),
        )

    def save_best(self) -> None:
        """The best so far as an artifact; its figure is of a part of the validation split."""
        network = LanguageModel(self._training.network.architecture)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.copy_(self._training.best[name])
        loss = self._training.position.best_loss
        count = self._training.settings.validation.count
        self._save(network, self._metrics(loss, count))

    def save_artifact(self, metrics: Mapping[str, float]) -> None:
        self._save(self._training.network, metrics)

    def final_metrics(self) -> dict[str, float]:
        """Of the network as it is, in float32, on all of the validation split there is time for."""
        reading = lay_out(self._prepared.valid)
        left = self._training.seconds_left() - MARGIN / 2
        deadline = time.monotonic() + left
        found = likelihood(self._training.network, reading, "float32", deadline=deadline)
        return self._metrics(found.loss, found.count)

    def _metrics(self, loss: float, count: int) -> dict[str, float]:
        at = self._training.position
        characters = sum(map(len, self._prepared.documents.valid))
        nats_per_character = loss * len(self._prepared.valid) / characters
        return {
            "validation_loss": loss,
            "validation_perplexity": float(torch.tensor(loss, dtype=torch.float64).exp()),
            "validation_bits_per_character": nats_per_character / 0.6931471805599453,
            "validation_tokens": count,
            "validation_unknown_share": self.unknown,
            "training_seconds": round(at.seconds, 1),
            "training_steps": at.steps,
            "training_epochs": round(at.epochs, 3),
        }

    def _save(self, network: LanguageModel, metrics: Mapping[str, float]) -> None:
        save_artifact(
            self._directory.artifact,
            network=network,
            tokenizer=self._prepared.tokenizer,
            name=self._prepared.recipe.name or "",
            provenance=self._provenance,
            metrics=metrics,
        )


def _network(prepared: Prepared) -> LanguageModel:
    recipe = prepared.recipe
    architecture = LanguageModelArchitecture(
        cell=recipe.cell,
        vocabulary=prepared.tokenizer.size,
        embedding=recipe.embedding or 0,
        hidden=recipe.hidden or 0,
        layers=recipe.layers or 0,
        projection=recipe.projection,
        tied=bool(recipe.tied),
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
            raise RecipeError("--freeze-embeddings: the output layer must not be --tied to them")
        network.embedding.weight.requires_grad_(False)
    return network


def _read_embedding(network: LanguageModel, file: str, tokenizer: Tokenizer) -> None:
    vectors = read_vectors(Path(os.path.expandvars(file)), words_of(tokenizer))
    width = network.architecture.embedding
    widths = {len(vector) for vector in vectors.values()}
    if widths and widths != {width}:
        raise RecipeError(
            f"--vectors: {file} has {widths.pop()} numbers a word; --embedding is {width}"
        )
    matrix_VE, found = embedding_matrix(tokenizer, vectors, width)
    if found == 0:
        raise RecipeError(f"--vectors: {file} has none of the words of the training data")
    with torch.no_grad():
        network.embedding.weight.copy_(matrix_VE)


def _limits(prepared: Prepared, network: LanguageModel, began: float) -> dict[str, float]:
    """How many predictions a regular evaluation reads, and seconds kept for what ends the run.

    With a time budget both follow from the speed measured here.
    """
    total = len(prepared.valid)
    if prepared.recipe.minutes is None:
        return {"regular": min(total, VALIDATION_LIMIT), "begin": 0.0, "reserve": 0.0}
    seconds = prepared.recipe.minutes * 60.0
    speed = _reading_speed(prepared, network)
    regular = min(total, max(SMALLEST_LIMIT, int(VALIDATION_SHARE * seconds * speed)))
    final = min(FINAL_SHARE * seconds, 1.2 * (total + 2 * regular) / speed)
    reserve = final + min(MARGIN, 0.1 * seconds)
    return {"regular": regular, "begin": time.monotonic() - began, "reserve": reserve}


def _reading_speed(prepared: Prepared, network: LanguageModel) -> float:
    """Predictions a second in float32."""
    reading = lay_out(prepared.valid, limit=PROBE, run_in=0)
    began = time.perf_counter()
    return likelihood(network, reading, "float32").count / (time.perf_counter() - began)


def _settings(prepared: Prepared, limits: Mapping[str, float]) -> Settings:
    recipe = prepared.recipe
    return Settings(
        windows=Windows(
            stream=prepared.train,
            lanes=recipe.batch or 1,
            length=recipe.bptt or 1,
            restart=recipe.restart,
            seed=recipe.seed,
        ),
        validation=lay_out(prepared.valid, limit=int(limits["regular"]), run_in=SHORT_RUN_IN),
        budget=Budget(
            seconds=recipe.minutes and recipe.minutes * 60.0,
            steps=recipe.steps,
            epochs=recipe.epochs,
        ),
        begin=limits["begin"],
        reserve=limits["reserve"],
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


def _sampler(prepared: Prepared) -> CandidateSampler | None:
    if prepared.recipe.softmax != "sampled":
        return None
    half = max(1, min(prepared.recipe.candidates, prepared.tokenizer.size - 2) // 2)
    counts_V = torch.bincount(
        torch.from_numpy(prepared.train.tokens_N), minlength=prepared.tokenizer.size
    )
    return CandidateSampler(counts_V, frequent=half, drawn=half)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
