"""The curves of a run for TensorBoard, beside the log: as an option, with a package of its own.

Written by torch's SummaryWriter; tags are "training/loss", "validation/perplexity" and the like.
Knows no networks.
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

TAGS = {"tokens/s": "tokens_per_second"}  # a slash would make a group of it
LEFT_OUT = {"progress"}


class TensorBoardLog:
    """Event files in a directory; without a directory it writes nothing.

    ``step`` is the one from which the run goes on: what an earlier process wrote of later ones is
    hidden, since it is told again.
    """

    def __init__(self, directory: Path | None, step: int) -> None:
        self._writer = None if directory is None else _writer(directory, step)

    def add(self, event: str, step: int, figures: Mapping[str, float]) -> None:
        """Adds a point to the curve of every figure that is a number."""
        for name, value in figures.items():
            if self._writer is not None and name not in LEFT_OUT and math.isfinite(value):
                with self._ending_when_full():
                    self._writer.add_scalar(f"{event}/{TAGS.get(name, name)}", value, step)

    def close(self) -> None:
        """Writes what is not yet on the disk."""
        if self._writer is not None:
            with self._ending_when_full():
                self._writer.close()

    @contextmanager
    def _ending_when_full(self) -> Iterator[None]:
        """The run goes on without its curves; the log beside it has them, too."""
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
    """RecipeError if it is asked for and the package is not installed."""
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
