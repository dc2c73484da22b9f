"""The checkpoint that `--resume` continues from: of the same command and the same data.

Without a checkpoint, the error names the content of the directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from model.manifest import MANIFEST_FILE
from training.errors import CheckpointError
from training.runs.checkpoint import Checkpoint, load_checkpoint
from training.runs.directory import DRAFT_SUFFIX, RUN_SUFFIX, RunDirectory

REPORTS = {"figures.json": "a report", "numbers.json": "plots of `gradients`"}


def require_checkpoint(directory: RunDirectory) -> None:
    """Checks that a directory holds a run.

    Raises:
        CheckpointError: the message names the content of the directory.
    """
    if not directory.checkpoint.exists():
        raise CheckpointError(
            f"{directory.checkpoint}: there is no checkpoint to continue from: "
            f"{_contents(directory.artifact)}"
        )


def checkpoint_of(directory: RunDirectory, command: str) -> Checkpoint:
    """Loads the checkpoint of the run in a directory.

    Raises:
        CheckpointError: it cannot be read, or another command than ``command`` wrote it.
    """
    checkpoint = load_checkpoint(directory.checkpoint)
    writer = checkpoint.values["command"]
    if writer != command:
        out = directory.artifact
        raise CheckpointError(
            f"{out}: is a run of `{writer}`, not of `{command}`; continue it with: "
            f"python -m training {writer} --resume --out {out}"
        )
    return checkpoint


def check_same_data(
    checkpoint: Checkpoint, digest: str, directory: RunDirectory, sources: Sequence[str]
) -> None:
    """Checks that a run is resumed with the data that it was begun with.

    Raises:
        CheckpointError: ``digest``, that of the data in ``sources``, is not the checkpoint's.
    """
    if checkpoint.values["data"] != digest:
        raise CheckpointError(
            f"{directory.checkpoint}: the run was begun with other data than is in "
            f"{', '.join(sources)} now; restore the files, or begin anew with --overwrite"
        )


def _contents(out: Path) -> str:
    """The content of ``out`` and the remedy, for a message."""
    begin = "leave --resume out to begin a run"
    if out.name.endswith(RUN_SUFFIX) and (out / "recipe.toml").exists():
        return f"{out} holds the files of a run; give --out {out.with_name(out.stem)}"
    if (out / MANIFEST_FILE).exists():
        return f"{out} holds an artifact without its run; begin anew with --overwrite"
    for file, kind in REPORTS.items():
        if (out / file).exists():
            return f"{out} holds {kind}, which cannot be continued; choose another --out"
    if out.is_file():
        return f"{out} is a file; --out names the directory of a run"
    if out.is_dir() and any(out.iterdir()):
        return f"{out} holds files, but no run; choose another --out"
    if out.with_name(out.name + DRAFT_SUFFIX).exists():
        return f"the run in {out} was ended before its first checkpoint; {begin}"
    return f"{out} has no run; {begin}"
