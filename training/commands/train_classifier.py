"""``python -m training classifier``: from labeled documents to an artifact.

Puts the parts together (data, tokenizer, network, run), saves the model whenever an evaluation
keeps its weights and the run every now and then, and at the end calibrates the kept weights on the
validation split and measures them on the test split.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from training.config.classifier import ClassifierRecipe
from training.data.examples import read_splits
from training.data.vocabulary import unknown_share_of_documents
from training.errors import CheckpointError, OutputError
from training.runs.checkpoint import Checkpoint, load_checkpoint
from training.runs.directory import Invocation, RunDirectory
from training.runs.loop import train
from training.runs.resolve import fresh_recipe, reading_data, resumed_recipe
from training.runs.tensorboard import TensorBoardLog, require_tensorboard
from training.runtime.distributed import (
    Command,
    ProcessGroup,
    check_processes,
    follow,
    launched_team,
)
from training.runtime.signals import Interruption
from training.trainers.classifier import ClassifierRun, Evaluation
from training.trainers.classifier_checkpoints import Keeper
from training.trainers.classifier_reporter import RunReport
from training.trainers.classifier_setup import (
    Prepared,
    prepare_fresh,
    prepare_resumed,
    settings_of,
)
from training.trainers.leading import (
    BY_THE_CLOCK,
    leading,
    record_pace,
    settled_here,
    telling_what_divergence_leaves,
    write_beginning,
)
from training.trainers.linear_classifier import join_linear

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
        if not team.leads:
            return _follow(invocation, directory, team, began)
        require_tensorboard(invocation.tensorboard)
        with leading(invocation, directory, "classifier") as checkpoint:
            return _lead(invocation, directory, team, began, checkpoint)


def _lead(
    invocation: Invocation,
    directory: RunDirectory,
    team: ProcessGroup,
    began: float,
    checkpoint: Checkpoint | None,
) -> int:
    if checkpoint is None:
        recipe = fresh_recipe(ClassifierRecipe, invocation)
        begun = _begin(settled_here(recipe), directory, team, began, overwrite=invocation.overwrite)
        return _train(begun, directory, invocation.tensorboard)
    recipe = resumed_recipe(ClassifierRecipe, invocation, checkpoint.values["recipe"])
    training, prepared = _resume(settled_here(recipe), directory, team, began, checkpoint)
    directory.rewind(training.position.steps)
    keeper = Keeper(prepared, directory, training)
    keeper.save_run()  # a disk that is full is better known now than later
    return _train(_Begun(training, prepared, keeper), directory, invocation.tensorboard)


def _follow(
    invocation: Invocation, directory: RunDirectory, team: ProcessGroup, began: float
) -> int:
    """Goes on from what the leader has saved before its first step."""

    def begin() -> ClassifierRun:
        checkpoint = load_checkpoint(directory.checkpoint)
        recipe = resumed_recipe(ClassifierRecipe, invocation, checkpoint.values["recipe"])
        return _resume(settled_here(recipe), directory, team, began, checkpoint)[0]

    follow(team, begin)
    return 0


class _Begun(NamedTuple):
    """A run that is ready for its next step, and saved."""

    training: ClassifierRun
    prepared: Prepared
    keeper: Keeper


def _begin(
    recipe: ClassifierRecipe,
    directory: RunDirectory,
    team: ProcessGroup,
    began: float,
    *,
    overwrite: bool,
) -> _Begun:
    with reading_data(resumed=False):
        splits = read_splits(recipe)
    with directory.drafting() as draft:
        prepared = prepare_fresh(recipe, splits)
        training = ClassifierRun(prepared.network, settings_of(prepared), began, team)
        write_beginning(draft, prepared.tokenizer, prepared.recipe, HEADING)
        keeper = Keeper(prepared, directory, training)
        keeper.save_run(draft=draft)
        directory.begin(overwrite=overwrite)
    return _Begun(training, prepared, keeper)


def _resume(
    recipe: ClassifierRecipe,
    directory: RunDirectory,
    team: ProcessGroup,
    began: float,
    checkpoint: Checkpoint,
) -> tuple[ClassifierRun, Prepared]:
    check_processes(checkpoint.values["processes"], team, directory.checkpoint, "classifier")
    with reading_data(resumed=True):
        splits = read_splits(recipe)
    prepared = prepare_resumed(recipe, splits, checkpoint, directory.checkpoint)
    training = ClassifierRun(prepared.network, settings_of(prepared), began, team)
    training.restore(checkpoint)
    return training, prepared


def _train(begun: _Begun, directory: RunDirectory, tensorboard: Path | None) -> int:
    training, prepared, keeper = begun
    board = TensorBoardLog(tensorboard, training.position.steps)
    with RunReport(training, directory, prepared.recipe, board) as report:
        _introduce(prepared, report)
        training.team.announce(Command.BEGIN)
        training.join()
        with (
            Interruption() as asked,
            telling_what_divergence_leaves(lambda: bool(training.kept)),
        ):
            finished = train(
                training,
                on_evaluation=lambda found, progress: _evaluated(found, progress, keeper, report),
                on_step=lambda progress: _stepped(progress, asked, keeper, report),
            )
            keeper.save_run()
        if not finished or asked.signal is not None:
            report.note(f"stopped; continue with --resume --out {directory.artifact}")
            return 128 + (asked.signal or 0)
        training.put_kept()
        if prepared.linear is not None:
            share = join_linear(prepared.network, prepared.linear, prepared.valid)
            report.note(f"the linear classifier has a share of {share:.0%} in the answers")
        pace = training.pace.recorded(training.position.steps)
        recipe = record_pace(directory, prepared.recipe, pace, HEADING)
        if pace is not None:
            report.note(BY_THE_CLOCK)
        metrics, predictions = keeper.conclude(recipe)
        report.conclude(metrics, predictions, prepared.answers)
    return 0


def _introduce(prepared: Prepared, report: RunReport) -> None:
    report.introduce(
        prepared.network,
        unknown=unknown_share_of_documents(prepared.valid.tokens, prepared.tokenizer),
        known_vectors=prepared.known_vectors,
    )
    if prepared.splits.held_out:
        report.note(f"no --valid: {prepared.recipe.holdout:.0%} of each label's examples held out")


def _evaluated(found: Evaluation, progress: float, keeper: Keeper, report: RunReport) -> None:
    report.evaluated(found, progress)
    if found.kept and found.useful:
        try:
            keeper.save_kept(found.predictions)
        except OutputError as error:  # the weights are in the checkpoint, too
            report.note(f"warning: {error}")


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
