"""``python -m training lm``: from files of text to an artifact.

Puts the parts together (data, tokenizer, network, run), saves the best model whenever there is a
better one and the run every now and then, and measures the best on the whole validation split at
the end.
"""

from __future__ import annotations

import sys
import time
from typing import NamedTuple

import torch

from model.networks import LanguageModel
from training.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from training.interruption import Interruption
from training.language_model_data import unknown_share
from training.language_model_keeper import Keeper
from training.language_model_recipe import LanguageModelRecipe
from training.language_model_report import RunReport
from training.language_model_run import Evaluation, LanguageModelRun, train
from training.language_model_setup import (
    Limits,
    Prepared,
    build_network,
    loop_settings,
    measure_limits,
    prepare,
)
from training.processors import set_threads
from training.recipe import RecipeError, write_recipe
from training.run_directory import Invocation, RunDirectory
from training.run_options import fresh_recipe, resumed_recipe

HEADING = "What `python -m training lm --recipe FILE --out DIR` needs to repeat this run."


def run(invocation: Invocation) -> int:
    """Trains a language model; the exit status.

    Raises:
        DataError, RecipeError, OutputError, VocabularyError, CheckpointError, ...: each with a
            message for the person who asked.
    """
    began = time.monotonic()
    directory = RunDirectory(invocation.out)
    checkpoint = load_checkpoint(directory.checkpoint) if invocation.resume else None
    if checkpoint is None:
        recipe = fresh_recipe(LanguageModelRecipe, invocation)
        directory.check(overwrite=invocation.overwrite)
    else:
        recipe = resumed_recipe(LanguageModelRecipe, invocation, checkpoint.values["recipe"])
        if checkpoint.values.get("complete") and directory.has_artifact():
            print(f"{directory.artifact}: the run is complete", file=sys.stderr)
            return 0
    set_threads(recipe.threads)
    if checkpoint is None:
        begun = _begin(recipe, directory, began, overwrite=invocation.overwrite)
    else:
        begun = _resume(recipe, directory, began, checkpoint)
    return _train(begun, directory)


class _Begun(NamedTuple):
    """A run that is ready for its next step."""

    training: LanguageModelRun
    prepared: Prepared
    limits: Limits


def _begin(
    recipe: LanguageModelRecipe, directory: RunDirectory, began: float, *, overwrite: bool
) -> _Begun:
    with directory.drafting():
        prepared = prepare(recipe, directory, None)
        network = _first_network(prepared)
        limits = measure_limits(prepared, network, began)
        training = LanguageModelRun(network, loop_settings(prepared, limits), began)
        if training.progress() >= 1.0:
            raise RecipeError(
                f"--minutes: {recipe.minutes:g} is over before the first step, "
                f"{training.position.seconds:.1f} seconds after the beginning; give more"
            )
        directory.begin(overwrite=overwrite)
    prepared.tokenizer.save(directory.tokenizer)
    write_recipe(directory.recipe, prepared.recipe, heading=HEADING)
    return _Begun(training, prepared, limits)


def _resume(
    recipe: LanguageModelRecipe, directory: RunDirectory, began: float, checkpoint: Checkpoint
) -> _Begun:
    prepared = prepare(recipe, directory, checkpoint)
    limits = Limits(**checkpoint.values["limits"])
    network = _first_network(prepared)
    training = LanguageModelRun(network, loop_settings(prepared, limits), began)
    training.restore(checkpoint)
    directory.rewind(training.position.steps)
    return _Begun(training, prepared, limits)


def _first_network(prepared: Prepared) -> LanguageModel:
    torch.manual_seed(prepared.recipe.seed)
    return build_network(prepared)


def _train(begun: _Begun, directory: RunDirectory) -> int:
    training, prepared, limits = begun
    keeper = Keeper(prepared, limits, directory, training)
    with RunReport(training, directory, prepared.recipe) as report, Interruption() as asked:
        _introduce(report, training, prepared)
        keeper.save_run()  # a disk that is full is better known now than in an hour
        finished = train(
            training,
            on_evaluation=lambda found, progress: _evaluated(found, progress, keeper, report),
            on_step=lambda progress: _stepped(progress, asked, keeper, report),
        )
        keeper.save_run()
        if not finished:
            report.note(f"stopped; continue with --resume --out {directory.artifact}")
            return 128 + (asked.signal or 0)
        report.conclude(keeper.conclude())
        keeper.save_run(complete=True)
    return 0


def _introduce(report: RunReport, training: LanguageModelRun, prepared: Prepared) -> None:
    report.introduce(
        training.network,
        train=len(prepared.train),
        valid=len(prepared.valid),
        unknown=unknown_share(prepared.valid, prepared.tokenizer),
    )
    if prepared.splits.held_out:
        report.note(f"no --valid: the last {prepared.recipe.holdout:.0%} of the text is held out")


def _evaluated(found: Evaluation, progress: float, keeper: Keeper, report: RunReport) -> None:
    report.evaluated(found, progress)
    if found.better:
        keeper.save_best()


def _stepped(progress: float, asked: Interruption, keeper: Keeper, report: RunReport) -> bool:
    """Between two steps; True breaks the run off."""
    report.stepped(progress)
    if asked.signal is not None:
        return True
    try:
        keeper.save_run_if_due()
    except CheckpointError as error:  # what was saved is kept; the next attempt may succeed
        report.note(f"warning: {error}")
    return False
