"""The files of a run in its directory: who may write them, and what is written once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from training.config.options import write_recipe
from training.runs.checkpoint import Checkpoint
from training.runs.directory import (
    RESTART_ADVICE,
    RESUME_ADVICE,
    Invocation,
    RunDirectory,
    reporting_write_errors,
)
from training.runs.lock import exclusive_lock
from training.runs.resuming import checkpoint_of, require_checkpoint
from training.trainers.task import Recipe, Task


@contextmanager
def owned_run(invocation: Invocation, command: str) -> Iterator[Checkpoint | None]:
    """A block in which the directory of a run belongs to this process alone.

    Yields:
        The checkpoint to resume from; None for a fresh run.

    Raises:
        CheckpointError: there is no checkpoint to resume from, or it is of another command.
        OutputError: another process writes there, or a fresh run may not begin there.
    """
    directory = RunDirectory(invocation.out)
    if invocation.resume:
        require_checkpoint(directory)
    with exclusive_lock(directory.artifact):
        earlier = _identity(directory.checkpoint)
        try:
            if invocation.resume:
                yield checkpoint_of(directory, command)
            else:
                directory.check(overwrite=invocation.overwrite)
                yield None
        except KeyboardInterrupt:
            begun = invocation.resume or _identity(directory.checkpoint) != earlier
            with suppress(OSError):  # standard error is closed
                print(f"{directory.artifact}: {_advice(directory, begun=begun)}", file=sys.stderr)
            raise


def write_beginning(draft: RunDirectory, task: Task[Any, Any]) -> None:
    """Writes the tokenizer and the recipe of a run before it begins.

    Raises:
        OutputError: they cannot be written.
    """
    with reporting_write_errors(draft.tokenizer, RESTART_ADVICE):
        task.tokenizer.save(draft.tokenizer)
    with reporting_write_errors(draft.recipe, RESTART_ADVICE):
        write_recipe(draft.recipe, task.recipe, heading=_heading(task))


def record_pace(
    directory: RunDirectory, task: Task[Any, Any], pace: tuple[int, ...] | None
) -> Recipe:
    """The recipe that repeats a finished run; it is written where the clock decided the run.

    Raises:
        OutputError: it cannot be written.
    """
    if pace is None:
        return task.recipe
    recipe = replace(task.recipe, pace=pace)
    with reporting_write_errors(directory.recipe, RESUME_ADVICE):
        write_recipe(directory.recipe, recipe, heading=_heading(task))
    return recipe


def _heading(task: Task[Any, Any]) -> str:
    command = f"python -m training {task.command} --recipe FILE --out DIR"
    return f"What `{command}` needs to repeat this run."


def _advice(directory: RunDirectory, *, begun: bool) -> str:
    if begun:
        return f"the last checkpoint is kept; continue with --resume --out {directory.artifact}"
    return "ended before the first checkpoint; nothing is kept of it, start the command again"


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns
