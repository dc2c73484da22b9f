"""What `--resume` continues: the checkpoint of a run of the same command.

Where there is none, the refusal says what is there instead.
"""

from __future__ import annotations

from pathlib import Path

from model.manifest import MANIFEST_FILE
from training.errors import CheckpointError
from training.runs.checkpoint import Checkpoint, load_checkpoint
from training.runs.directory import DRAFT_SUFFIX, RUN_SUFFIX, RunDirectory

REPORTS = {"figures.json": "a report", "numbers.json": "plots of `gradients`"}


def require_checkpoint(directory: RunDirectory) -> None:
    """Refuses a directory without a run.

    Raises:
        CheckpointError: the message says what is there instead.
    """
    if not directory.checkpoint.exists():
        raise CheckpointError(
            f"{directory.checkpoint}: there is no checkpoint to continue from: "
            f"{_found(directory.artifact)}"
        )


def begun_run(directory: RunDirectory, command: str) -> Checkpoint:
    """The checkpoint of the run of ``command`` in the directory.

    Raises:
        CheckpointError: it cannot be read, or another command wrote it.
    """
    checkpoint = load_checkpoint(directory.checkpoint)
    begun_by = checkpoint.values["command"]
    if begun_by != command:
        out = directory.artifact
        raise CheckpointError(
            f"{out}: is a run of `{begun_by}`, not of `{command}`; continue it with: "
            f"python -m training {begun_by} --resume --out {out}"
        )
    return checkpoint


def _found(out: Path) -> str:
    """What is at ``out``, and what to do."""
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
