"""The curves of a run for TensorBoard, with the optional package `tensorboard`.

Tags are "training/loss", "validation/perplexity" and the like.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import OutputError, RecipeError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

TAG_NAMES = {"tokens/s": "tokens_per_second"}  # TensorBoard groups tags by a slash
OMITTED_METRICS = {"progress"}


class TensorBoardLog:
    """Writes event files to a directory; None writes no files.

    ``step`` is the step from which the run continues. TensorBoard hides later steps of an earlier
    process, which are written again.
    """

    def __init__(self, directory: Path | None, step: int) -> None:
        self._writer = None if directory is None else _writer(directory, step)

    def add(self, event: str, step: int, figures: Mapping[str, float]) -> None:
        """Adds a point to the curve of every finite metric."""
        for name, value in figures.items():
            if self._writer is not None and name not in OMITTED_METRICS and math.isfinite(value):
                with self._ending_when_full():
                    self._writer.add_scalar(f"{event}/{TAG_NAMES.get(name, name)}", value, step)

    def close(self) -> None:
        """Writes pending points to the disk."""
        if self._writer is not None:
            with self._ending_when_full():
                self._writer.close()

    @contextmanager
    def _ending_when_full(self) -> Iterator[None]:
        """Stops writing after an error; the log of the run has the curves, too."""
        try:
            yield
        except OSError as error:
            self._writer = None
            print(
                f"warning: --tensorboard: cannot be written: {error.strerror or error}; the run "
                "goes on without it",
                file=sys.stderr,
            )


def require_tensorboard(directory: Path | None) -> None:
    """Checks that the package is installed.

    Raises:
        RecipeError: ``directory`` is given and the package is missing.
    """
    if directory is not None and importlib.util.find_spec("tensorboard") is None:
        raise RecipeError(
            "--tensorboard: needs the optional package `tensorboard`; install it with "
            "`pip install tensorboard`, or leave the option out"
        )


def _writer(directory: Path, step: int) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional package

    try:
        return SummaryWriter(str(directory), purge_step=step + 1 if step > 0 else None)
    except OSError as error:
        raise OutputError(f"{directory}: cannot be written: {error.strerror or error}") from None
