"""A training run of either task as a command, from its options to the artifact.

The main process begins the run or resumes it, saves its checkpoint, trains, measures the best
weights and saves them. The workers of a distributed run load that checkpoint and follow.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from training.errors import CheckpointError, DivergedError, OutputError
from training.readers.encodings import set_encoding
from training.runs.checkpoint import Checkpoint, load_checkpoint
from training.runs.directory import Invocation, RunDirectory
from training.runs.loop import training_loop
from training.runs.resolve import fresh_recipe, resumed_recipe
from training.runs.tensorboard import TensorBoardLog, require_tensorboard
from training.runtime.distributed import (
    Command,
    ProcessGroup,
    check_processes,
    launched_process_group,
    run_worker,
)
from training.runtime.precision import require_precision
from training.runtime.signals import Interruption, signals_recorded
from training.runtime.threads import set_threads
from training.trainers.checkpointer import Checkpointer
from training.trainers.reporter import Reporter
from training.trainers.run_files import owned_run, record_pace, write_beginning
from training.trainers.task import Task
from training.trainers.trainer import EvaluationResult, Trainer

BY_THE_CLOCK = (
    "the clock decided this run: the same command gives other weights, the recipe.toml of the run "
    "these ones (and --epochs repeats without it)"
)


def run_training(task_type: type[Task[Any, Any]], invocation: Invocation) -> int:
    """Trains a model.

    Args:
        task_type: a language model or a classifier.
        invocation: the options of the command.

    Returns:
        The exit status: 0, or 128 and the number of the signal that has stopped the run.

    Raises:
        TrainingError, ModelError: each with a message for the person who started the command.
    """
    started_at = time.monotonic()
    with launched_process_group() as process_group:
        run = _Run(task_type, invocation, process_group, started_at)
        if process_group.is_main:
            return run.main()
        run_worker(process_group, run.load)
        return 0


@dataclass(frozen=True, slots=True)
class _Run:
    """A run in one of its processes; ``started_at`` on the monotonic clock."""

    task_type: type[Task[Any, Any]]
    invocation: Invocation
    process_group: ProcessGroup
    started_at: float

    @property
    def directory(self) -> RunDirectory:
        return RunDirectory(self.invocation.out)

    def main(self) -> int:
        """The run in the main process."""
        require_tensorboard(self.invocation.tensorboard)
        with owned_run(self.invocation, self.task_type.command) as checkpoint:
            if checkpoint is None:
                return self._train(*self._begin())
            recipe = self._resumed_recipe(checkpoint)
            if checkpoint.values["complete"] and self.directory.has_artifact():
                print(f"{self.directory.artifact}: the run is complete", file=sys.stderr)
                return 0
            trainer = self._resume(recipe, checkpoint)
            self.directory.rewind(trainer.state.steps)
            checkpointer = Checkpointer(trainer, self.directory)
            checkpointer.save()  # finds a full disk now, not in an hour
            return self._train(trainer, checkpointer)

    def load(self) -> Trainer:
        """The run in a worker, from the checkpoint of the main process."""
        checkpoint = load_checkpoint(self.directory.checkpoint)
        return self._resume(self._resumed_recipe(checkpoint), checkpoint)

    def _begin(self) -> tuple[Trainer, Checkpointer]:
        """A fresh run, saved before its first step."""
        recipe = _on_this_machine(fresh_recipe(self.task_type.recipe_type, self.invocation))
        with self.directory.drafting() as draft:
            task = self.task_type.prepare(recipe, draft, None, self.process_group)
            trainer = Trainer(task, self.started_at, self.process_group)
            task.check_first_step(trainer.progress(), trainer.state.seconds)
            write_beginning(draft, task)
            checkpointer = Checkpointer(trainer, self.directory)
            checkpointer.save(draft=draft)
            self.directory.begin(overwrite=self.invocation.overwrite)
        return trainer, checkpointer

    def _resumed_recipe(self, checkpoint: Checkpoint) -> Any:
        recipe_type = self.task_type.recipe_type
        return resumed_recipe(recipe_type, self.invocation, checkpoint.values["recipe"])

    def _resume(self, recipe: Any, checkpoint: Checkpoint) -> Trainer:
        recipe, group = _on_this_machine(recipe), self.process_group
        processes = checkpoint.values["processes"]
        check_processes(processes, group, self.directory.checkpoint, self.task_type.command)
        task = self.task_type.prepare(recipe, self.directory, checkpoint, group)
        trainer = Trainer(task, self.started_at, group)
        trainer.restore(checkpoint)
        return trainer

    def _train(self, trainer: Trainer, checkpointer: Checkpointer) -> int:
        """Trains to the end, or until a signal stops the run; the exit status."""
        board = TensorBoardLog(self.invocation.tensorboard, trainer.state.steps)
        with closing(Reporter(trainer, self.directory, board)) as reporter:
            reporter.introduce()
            self.process_group.broadcast(Command.BEGIN)
            trainer.join()
            with signals_recorded() as interruption, _reporting_divergence(trainer):
                callbacks = _Callbacks(checkpointer, reporter, interruption)
                finished = training_loop(
                    trainer,
                    on_evaluation=callbacks.on_evaluation,
                    before_step=callbacks.before_step,
                )
                checkpointer.save()
            if not finished or interruption.signal is not None:
                out = self.directory.artifact
                reporter.note(f"stopped; continue with --resume --out {out}")
                reporter.note(_kept(trainer, self.directory))
                return 128 + (interruption.signal or 0)
            self._conclude(trainer, checkpointer, reporter)
        return 0

    def _conclude(self, trainer: Trainer, checkpointer: Checkpointer, reporter: Reporter) -> None:
        """Measures and saves the best weights."""
        trainer.load_best_weights()
        for line in trainer.task.finish_network():
            reporter.note(line)
        pace = trainer.pace.recorded(trainer.state.steps)
        recipe = record_pace(self.directory, trainer.task, pace)
        if pace is not None:
            reporter.note(BY_THE_CLOCK)
        reporter.conclude(checkpointer.conclude(recipe))
        if trainer.task.concludes_once:
            checkpointer.save(complete=True)


@dataclass(frozen=True, slots=True)
class _Callbacks:
    """The work of the main process between the steps."""

    checkpointer: Checkpointer
    reporter: Reporter
    interruption: Interruption

    def on_evaluation(self, result: EvaluationResult, progress: float) -> None:
        """Reports an evaluation, and saves the artifact of the best weights."""
        self.reporter.evaluated(result, progress)
        if result.is_best and result.is_useful:
            try:
                self.checkpointer.save_best(result.evaluation)
            except OutputError as error:  # the best weights are in the checkpoint, too
                self.reporter.note(f"warning: {error}")

    def before_step(self, progress: float) -> bool:
        """Reports the progress and saves the checkpoint; False stops the run."""
        self.reporter.stepped(progress)
        if self.interruption.signal is not None:
            return False
        try:
            self.checkpointer.save_if_due()
        except CheckpointError as error:  # the last one is kept; the next attempt may succeed
            self.reporter.note(f"warning: {error}")
        return True


def _kept(trainer: Trainer, directory: RunDirectory) -> str:
    """The model that a stopped run leaves behind, as a line."""
    step = trainer.state.best_step
    if trainer.best_weights and directory.has_artifact():
        return f"the best model so far, of step {step:,}, is in {directory.artifact}"
    return "no evaluation was reached, so there is no model of this run yet"


def _on_this_machine(recipe: Any) -> Any:
    """Sets encoding and number of threads of this process; the recipe with that number.

    Raises:
        RecipeError: there is no such encoding, the processor has no instructions for the precision,
            or there are too many threads.
    """
    set_encoding(recipe.encoding)
    require_precision(recipe.precision)
    set_threads(recipe.threads)
    return replace(recipe, threads=torch.get_num_threads())


@contextmanager
def _reporting_divergence(trainer: Trainer) -> Iterator[None]:
    """Adds to the error of a run that diverges whether a model is kept."""
    try:
        yield
    except DivergedError as error:
        kept = "No model of this run was written, and none is replaced"
        if trainer.best_weights:
            kept = "The last checkpoint and the best model so far are kept"
        raise DivergedError(f"{error}. {kept}") from None
