"""What surrounds a run of any command in the process that leads it.

The directory is this process's alone; a run that is resumed is one of this command; and whatever
ends the run, the person is told what is kept.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import torch

from model.tokenization.tokenizer import Tokenizer
from training.config.classifier import ClassifierRecipe
from training.config.language_model import LanguageModelRecipe
from training.config.options import write_recipe
from training.errors import DivergedError
from training.runs.checkpoint import Checkpoint
from training.runs.directory import (
    RESTART_ADVICE,
    RESUME_ADVICE,
    Invocation,
    RunDirectory,
    reporting_write_errors,
)
from training.runs.lock import only_user
from training.runs.resuming import begun_run, require_checkpoint
from training.runtime.precision import require_precision
from training.runtime.threads import set_threads

BY_THE_CLOCK = (
    "the clock decided this run: the same command gives other weights, the recipe.toml of the run "
    "these ones (and --epochs repeats without it)"
)

Recipe = TypeVar("Recipe", LanguageModelRecipe, ClassifierRecipe)


@contextmanager
def leading(
    invocation: Invocation, directory: RunDirectory, command: str
) -> Iterator[Checkpoint | None]:
    """The block of a run; what it gets is the checkpoint to continue from, None for a fresh run.

    Raises:
        CheckpointError: there is nothing to continue from, or a run of another command.
        OutputError: another process writes there, or a fresh run may not begin there.
    """
    if invocation.resume:
        require_checkpoint(directory)
    with only_user(directory.artifact):
        before = _identity(directory.checkpoint)
        try:
            if invocation.resume:
                yield begun_run(directory, command)
            else:
                directory.check(overwrite=invocation.overwrite)
                yield None
        except KeyboardInterrupt:
            begun = invocation.resume or _identity(directory.checkpoint) != before
            with suppress(OSError):  # nobody reads any more
                print(f"{directory.artifact}: {_kept(directory, begun=begun)}", file=sys.stderr)
            raise


def settled_here(recipe: Recipe) -> Recipe:
    """The recipe with the number of threads that this process computes with from now on.

    Raises:
        RecipeError: the processor has no instructions for the precision, or too many threads are
            asked for.
    """
    require_precision(recipe.precision)
    set_threads(recipe.threads)
    return dataclasses.replace(recipe, threads=torch.get_num_threads())


def write_beginning(
    draft: RunDirectory,
    tokenizer: Tokenizer,
    recipe: LanguageModelRecipe | ClassifierRecipe,
    heading: str,
) -> None:
    """What a run writes once, before it begins.

    Raises:
        OutputError: the disk does not take it.
    """
    with reporting_write_errors(draft.tokenizer, RESTART_ADVICE):
        tokenizer.save(draft.tokenizer)
    with reporting_write_errors(draft.recipe, RESTART_ADVICE):
        write_recipe(draft.recipe, recipe, heading=heading)


def record_pace(
    directory: RunDirectory, recipe: Recipe, pace: tuple[int, ...] | None, heading: str
) -> Recipe:
    """The recipe that repeats a finished run, which is written where the clock decided the run.

    Raises:
        OutputError: the disk does not take it.
    """
    if pace is None:
        return recipe
    repeated = dataclasses.replace(recipe, pace=pace)
    with reporting_write_errors(directory.recipe, RESUME_ADVICE):
        write_recipe(directory.recipe, repeated, heading=heading)
    return repeated


@contextmanager
def telling_what_divergence_leaves(has_best: Callable[[], bool]) -> Iterator[None]:
    """Adds to the error of a run that diverges whether a model of it is kept."""
    try:
        yield
    except DivergedError as error:
        left = "No model of this run was written, and none is replaced"
        if has_best():
            left = "The last checkpoint and the best model so far are kept"
        raise DivergedError(f"{error}. {left}") from None


def _kept(directory: RunDirectory, *, begun: bool) -> str:
    if begun:
        return f"the last checkpoint is kept; continue with --resume --out {directory.artifact}"
    return "ended before the first checkpoint; nothing is kept of it, start the command again"


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
