"""``python -m training classifier``: from labelled documents to an artifact.

Puts the parts together (data, tokenizer, network, run), saves the model whenever an evaluation
keeps its weights and the run every now and then, and at the end calibrates the kept weights on the
validation split and measures them on the test split.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from model.artifact import WEIGHTS, Calibration
from training.calibration import fit_temperature
from training.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
    with_prefix,
)
from training.classifier_data import read_splits
from training.classifier_evaluation import Predictions, predict
from training.classifier_preparation import (
    LINEAR,
    Prepared,
    prepare_fresh,
    prepare_resumed,
    settings_of,
)
from training.classifier_recipe import ClassifierRecipe
from training.classifier_report import RunReport
from training.classifier_run import ClassifierRun, Evaluation
from training.classifier_vocabulary import unknown_share
from training.interruption import Interruption
from training.language_model_data import expanded
from training.linear_fit import join_linear
from training.model_output import round_to_storage, save_model
from training.out_of_scope import fit_out_of_scope
from training.precision import require_precision
from training.processors import set_threads
from training.provenance import provenance
from training.recipe import recipe_values, write_recipe
from training.run_directory import Invocation, OutputError, RunDirectory
from training.run_options import fresh_recipe, reading_data, resumed_recipe
from training.team import Order, Team, check_processes, follow, launched_team
from training.tensorboard_log import TensorBoardLog, require_tensorboard
from training.training_loop import train

HEADING = "What `python -m training classifier --recipe FILE --out DIR` needs to repeat this run."


def run(invocation: Invocation) -> int:
    """Trains a classifier; the exit status: 0, or 128 and the signal's number if interrupted.

    Raises:
        DataError, RecipeError, OutputError, VocabularyError, CheckpointError, ...: each with a
            message for the person who asked.
    """
    began = time.monotonic()
    directory = RunDirectory(invocation.out)
    with launched_team() as team:
        if team.leads:
            return _lead(invocation, directory, team, began)
        return _follow(invocation, directory, team, began)


def _lead(invocation: Invocation, directory: RunDirectory, team: Team, began: float) -> int:
    require_tensorboard(invocation.tensorboard)
    checkpoint = load_checkpoint(directory.checkpoint) if invocation.resume else None
    if checkpoint is None:
        recipe = fresh_recipe(ClassifierRecipe, invocation)
        directory.check(overwrite=invocation.overwrite)
    else:
        recipe = resumed_recipe(ClassifierRecipe, invocation, checkpoint.values["recipe"])
    require_precision(recipe.precision)
    set_threads(recipe.threads)
    if checkpoint is None:
        begun = _begin(recipe, directory, team, began, overwrite=invocation.overwrite)
    else:
        begun = _resume(recipe, directory, team, began, checkpoint)
        directory.rewind(begun.training.position.steps)
    return _train(begun, directory, invocation.tensorboard)


def _follow(invocation: Invocation, directory: RunDirectory, team: Team, began: float) -> int:
    """Goes on from what the leader has saved before its first step."""

    def begin() -> ClassifierRun:
        checkpoint = load_checkpoint(directory.checkpoint)
        recipe = resumed_recipe(ClassifierRecipe, invocation, checkpoint.values["recipe"])
        set_threads(recipe.threads)
        return _resume(recipe, directory, team, began, checkpoint).training

    follow(team, begin)
    return 0


class _Begun(NamedTuple):
    """A run that is ready for its next step."""

    training: ClassifierRun
    prepared: Prepared


def _begin(
    recipe: ClassifierRecipe, directory: RunDirectory, team: Team, began: float, *, overwrite: bool
) -> _Begun:
    with reading_data(resumed=False):
        splits = read_splits(recipe)
    prepared = prepare_fresh(recipe, splits)
    directory.begin(overwrite=overwrite)
    prepared.tokenizer.save(directory.tokenizer)
    write_recipe(directory.recipe, prepared.recipe, heading=HEADING)
    return _Begun(ClassifierRun(prepared.network, settings_of(prepared), began, team), prepared)


def _resume(
    recipe: ClassifierRecipe,
    directory: RunDirectory,
    team: Team,
    began: float,
    checkpoint: Checkpoint,
) -> _Begun:
    check_processes(checkpoint.values["processes"], team, directory.checkpoint, "classifier")
    with reading_data(resumed=True):
        splits = read_splits(recipe)
    prepared = prepare_resumed(recipe, splits, checkpoint, directory.checkpoint)
    training = ClassifierRun(prepared.network, settings_of(prepared), began, team)
    training.restore(checkpoint)
    return _Begun(training, prepared)


def _train(begun: _Begun, directory: RunDirectory, tensorboard: Path | None) -> int:
    training, prepared = begun
    keeper = _Keeper(prepared, directory, training)
    board = TensorBoardLog(tensorboard, training.position.steps)
    with (
        RunReport(training, directory, prepared.recipe, board) as report,
        Interruption() as asked,
    ):
        _introduce(prepared, report)
        keeper.save_run()  # a disk that is full is better known now than later
        training.team.announce(Order.BEGIN)
        training.join()
        finished = train(
            training,
            on_evaluation=lambda found, progress: _evaluated(found, progress, keeper, report),
            on_step=lambda progress: _stepped(progress, asked, keeper, report),
        )
        keeper.save_run()
        if not finished:
            report.note(f"stopped; continue with --resume --out {directory.artifact}")
            return 128 + (asked.signal or 0)
        training.put_kept()
        if prepared.linear is not None:
            share = join_linear(prepared.network, prepared.linear, prepared.valid)
            report.note(f"the linear classifier has a share of {share:.0%} in the answers")
        metrics, predictions = keeper.conclude()
        report.conclude(metrics, predictions, prepared.answers)
    return 0


def _introduce(prepared: Prepared, report: RunReport) -> None:
    report.introduce(
        prepared.network,
        unknown=unknown_share(prepared.valid.tokens, prepared.tokenizer),
        known_vectors=prepared.known_vectors,
    )
    if prepared.splits.held_out:
        report.note(f"no --valid: {prepared.recipe.holdout:.0%} of each label's examples held out")


def _evaluated(found: Evaluation, progress: float, keeper: _Keeper, report: RunReport) -> None:
    report.evaluated(found, progress)
    if found.kept:
        try:
            keeper.save_kept(found.predictions)
        except OutputError as error:  # the weights are in the checkpoint, too
            report.note(f"warning: {error}")


def _stepped(progress: float, asked: Interruption, keeper: _Keeper, report: RunReport) -> bool:
    """Between two steps; True breaks the run off."""
    report.stepped(progress)
    if asked.signal is not None:
        return True
    try:
        keeper.save_run_if_due()
    except CheckpointError as error:  # what was saved is kept; the next attempt may succeed
        report.note(f"warning: {error}")
    return False


class _Keeper:
    """Saves the run and the model that it keeps."""

    def __init__(
        self, prepared: Prepared, directory: RunDirectory, training: ClassifierRun
    ) -> None:
        self._prepared = prepared
        self._directory = directory
        self._training = training
        self._saved = time.monotonic()
        recipe = prepared.recipe
        self._header: Mapping[str, Any] = {
            "recipe": recipe_values(recipe),
            "data": prepared.splits.digest,
            "tokenizer": prepared.tokenizer.to_json(),
            "processes": training.team.size,
        }
        self._provenance = provenance(
            sources=_sources(recipe),
            recipe=recipe_values(recipe),
            seed=recipe.seed,
        )

    def save_run_if_due(self) -> None:
        if time.monotonic() - self._saved >= self._prepared.recipe.checkpoint_seconds:
            self.save_run()

    def save_run(self) -> None:
        self._saved = time.monotonic()
        state, linear = self._training.checkpoint(), self._prepared.linear
        fitted = {} if linear is None else with_prefix(LINEAR, linear.state_dict())
        save_checkpoint(
            self._directory.checkpoint,
            Checkpoint({**state.tensors, **fitted}, {**self._header, **state.values}),
        )

    def save_kept(self, valid: Predictions) -> None:
        """The network as it is, with the weights that count so far; knows no test split."""
        self._save(valid, {})

    def conclude(self) -> tuple[dict[str, float], Predictions]:
        """Saves the network as it is with all metrics; also its answers on the last split."""
        network, prepared = self._training.network, self._prepared
        round_to_storage(network, prepared.recipe.storage)
        valid = predict(network, prepared.valid)
        calibration = self._calibrate(valid)
        if not len(prepared.test):
            return self._save(valid, {}), valid.answered(calibration)
        test = predict(network, prepared.test)
        metrics = self._save(valid, test.metrics("test", calibration))
        return metrics, test.answered(calibration)

    def _calibrate(self, valid: Predictions) -> Calibration:
        recipe, inside = self._prepared.recipe, valid.in_scope
        temperature = fit_temperature(inside.logits_BC, inside.labels_B)
        if recipe.out_of_scope_label is None:
            return Calibration(temperature)
        beyond = fit_out_of_scope(
            valid.logits_BC,
            valid.labels_B,
            label=recipe.out_of_scope_label,
            share=recipe.out_of_scope_share,
        )
        return Calibration(temperature, beyond)

    def _save(self, valid: Predictions, further: Mapping[str, float]) -> dict[str, float]:
        prepared, at = self._prepared, self._training.position
        calibration = self._calibrate(valid)
        metrics = {
            **valid.metrics("validation", calibration),
            **further,
            "training_seconds": round(at.seconds, 1),
            "training_steps": at.steps,
            "training_epochs": round(at.epochs, 3),
        }
        save_model(
            self._directory,
            network=self._training.network,
            tokenizer=prepared.tokenizer,
            name=prepared.recipe.name or "",
            labels=prepared.splits.labels,
            calibration=calibration,
            provenance=self._provenance,
            metrics=metrics,
            storage=prepared.recipe.storage,
        )
        return metrics


def _sources(recipe: ClassifierRecipe) -> dict[str, list[str]]:
    """The files that a run reads, by what they are for."""
    splits = {split: expanded(getattr(recipe, split)) for split in ("train", "valid", "test")}
    if recipe.from_ is None:
        return splits
    return splits | {"from": [str(Path(os.path.expandvars(recipe.from_)) / WEIGHTS)]}
