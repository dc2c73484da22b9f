"""``python -m training lm``: from files of text to an artifact.

Puts the parts together (data, tokenizer, network, run), saves the best model whenever there is a
better one and the run every now and then, and measures the best on the whole validation split at
the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch

from model.networks import LanguageModel
from training.config.language_model import LanguageModelRecipe
from training.data.corpus import unknown_share_of_stream
from training.errors import CheckpointError, OutputError, RecipeError
from training.runs.checkpoint import Checkpoint, load_checkpoint
from training.runs.directory import Invocation, RunDirectory
from training.runs.loop import train
from training.runs.resolve import fresh_recipe, resumed_recipe
from training.runs.tensorboard import TensorBoardLog, require_tensorboard
from training.runtime.distributed import (
    Command,
    ProcessGroup,
    check_processes,
    follow,
    launched_team,
)
from training.runtime.signals import Interruption
from training.trainers.language_model import Evaluation, LanguageModelRun
from training.trainers.language_model_checkpoints import Keeper
from training.trainers.language_model_reporter import RunReport
from training.trainers.language_model_setup import (
    Limits,
    Prepared,
    build_network,
    loop_settings,
    measured,
    prepare,
)
from training.trainers.leading import (
    BY_THE_CLOCK,
    leading,
    record_pace,
    settled_here,
    telling_what_divergence_leaves,
    write_beginning,
)

HEADING = "What `python -m training lm --recipe FILE --out DIR` needs to repeat this run."


def run(invocation: Invocation) -> int:
    """Trains a language model; the exit status.

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
        with leading(invocation, directory, "lm") as checkpoint:
            return _lead(invocation, directory, team, began, checkpoint)


def _lead(
    invocation: Invocation,
    directory: RunDirectory,
    team: ProcessGroup,
    began: float,
    checkpoint: Checkpoint | None,
) -> int:
    if checkpoint is None:
        recipe = fresh_recipe(LanguageModelRecipe, invocation)
        begun = _begin(settled_here(recipe), directory, team, began, overwrite=invocation.overwrite)
        return _train(begun, directory, invocation.tensorboard)
    recipe = resumed_recipe(LanguageModelRecipe, invocation, checkpoint.values["recipe"])
    if checkpoint.values.get("complete") and directory.has_artifact():
        print(f"{directory.artifact}: the run is complete", file=sys.stderr)
        return 0
    training, prepared, limits = _resume(settled_here(recipe), directory, team, began, checkpoint)
    directory.rewind(training.position.steps)
    keeper = Keeper(prepared, limits, directory, training)
    keeper.save_run()  # a disk that is full is better known now than in an hour
    return _train(_Begun(training, prepared, keeper), directory, invocation.tensorboard)


def _follow(
    invocation: Invocation, directory: RunDirectory, team: ProcessGroup, began: float
) -> int:
    """Goes on from what the leader has saved before its first step."""

    def begin() -> LanguageModelRun:
        checkpoint = load_checkpoint(directory.checkpoint)
        recipe = resumed_recipe(LanguageModelRecipe, invocation, checkpoint.values["recipe"])
        return _resume(settled_here(recipe), directory, team, began, checkpoint)[0]

    follow(team, begin)
    return 0


class _Begun(NamedTuple):
    """A run that is ready for its next step, and saved."""

    training: LanguageModelRun
    prepared: Prepared
    keeper: Keeper


def _begin(
    recipe: LanguageModelRecipe,
    directory: RunDirectory,
    team: ProcessGroup,
    began: float,
    *,
    overwrite: bool,
) -> _Begun:
    with directory.drafting() as draft:
        prepared = prepare(recipe, draft, None, processes=team.size)
        network = _first_network(prepared)
        prepared, limits = measured(prepared, network)
        training = LanguageModelRun(network, loop_settings(prepared, limits), began, team)
        if training.progress() >= 1.0:
            raise RecipeError(
                f"--minutes: {recipe.minutes:g} is over before the first step, "
                f"{training.position.seconds:.1f} seconds after the beginning; give more"
            )
        write_beginning(draft, prepared.tokenizer, prepared.recipe, HEADING)
        keeper = Keeper(prepared, limits, directory, training)
        keeper.save_run(draft=draft)
        directory.begin(overwrite=overwrite)
    return _Begun(training, prepared, keeper)


def _resume(
    recipe: LanguageModelRecipe,
    directory: RunDirectory,
    team: ProcessGroup,
    began: float,
    checkpoint: Checkpoint,
) -> tuple[LanguageModelRun, Prepared, Limits]:
    check_processes(checkpoint.values["processes"], team, directory.checkpoint, "lm")
    prepared = prepare(recipe, directory, checkpoint, processes=team.size)
    limits = Limits(**checkpoint.values["limits"])
    network = _first_network(prepared)
    training = LanguageModelRun(network, loop_settings(prepared, limits), began, team)
    training.restore(checkpoint)
    return training, prepared, limits


def _first_network(prepared: Prepared) -> LanguageModel:
    torch.manual_seed(prepared.recipe.seed)
    return build_network(prepared)


def _train(begun: _Begun, directory: RunDirectory, tensorboard: Path | None) -> int:
    training, prepared, keeper = begun
    board = TensorBoardLog(tensorboard, training.position.steps)
    with RunReport(training, directory, prepared.recipe, board) as report:
        _introduce(report, training, prepared)
        training.team.announce(Command.BEGIN)
        training.join()
        with Interruption() as asked, telling_what_divergence_leaves(lambda: bool(training.best)):
            finished = train(
                training,
                on_evaluation=lambda found, progress: _evaluated(found, progress, keeper, report),
                on_step=lambda progress: _stepped(progress, asked, keeper, report),
            )
            keeper.save_run()
        if not finished or asked.signal is not None:
            report.note(f"stopped; continue with --resume --out {directory.artifact}")
            return 128 + (asked.signal or 0)
        pace = training.pace.recorded(training.position.steps)
        recipe = record_pace(directory, prepared.recipe, pace, HEADING)
        if pace is not None:
            report.note(BY_THE_CLOCK)
        report.conclude(keeper.conclude(recipe))
        keeper.save_run(complete=True)
    return 0


def _introduce(report: RunReport, training: LanguageModelRun, prepared: Prepared) -> None:
    report.introduce(
        training.network,
        train=len(prepared.train),
        valid=len(prepared.valid),
        unknown=unknown_share_of_stream(prepared.valid, prepared.tokenizer),
    )
    if prepared.speed is not None:
        recipe = prepared.recipe
        report.note(
            f"hidden {recipe.hidden} and dropout are chosen for {recipe.minutes:g} minutes at "
            f"{prepared.speed:.2g} multiplications a second, measured now; recipe.toml keeps them"
        )
    if prepared.splits.held_out:
        report.note(f"no --valid: the last {prepared.recipe.holdout:.0%} of the text is held out")


def _evaluated(found: Evaluation, progress: float, keeper: Keeper, report: RunReport) -> None:
    report.evaluated(found, progress)
    if found.better and found.useful:
        try:
            keeper.save_best()
        except OutputError as error:  # the best weights are in the checkpoint, too
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
